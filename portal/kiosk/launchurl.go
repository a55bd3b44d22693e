package kiosk

import (
	"encoding/base64"
	"net/url"
	"strconv"
	"time"
)

// LaunchMAC is the signature of a launch address: HMAC-SHA256 under the device's key.
func LaunchMAC(key []byte, origin, device string, at time.Time, nonce []byte) []byte {
	return mac(key, "postern launch v1\n"+origin+"\n"+device+"\n"+strconv.FormatInt(at.Unix(), 10)+"\n"+base64.RawURLEncoding.EncodeToString(nonce))
}

// LaunchURL is an address that opens the kiosk once, within two minutes of at. nonce is
// 16 random bytes, new for each.
func LaunchURL(origin, device string, key []byte, at time.Time, nonce []byte) string {
	b64 := base64.RawURLEncoding.EncodeToString
	q := url.Values{"d": {device}, "t": {strconv.FormatInt(at.Unix(), 10)}, "n": {b64(nonce)}, "s": {b64(LaunchMAC(key, origin, device, at, nonce))}}
	return origin + "/kiosk/launch?" + q.Encode()
}
