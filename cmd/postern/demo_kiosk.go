package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"strings"
	"time"

	"postern/portal/kiosk"
	"postern/portal/store"
)

// demoKiosk is the id of the demo's shared screen.
const demoKiosk = "DEM0K10SK0000000"

// addKiosk registers a shared screen that is opened by a signed address, once in a folder.
func (d *demo) addKiosk(ctx context.Context, db *store.DB) error {
	if _, err := db.Kiosk(ctx, kiosk.Index{ID: demoKiosk}); !errors.Is(err, kiosk.ErrNone) {
		return err
	}
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		return err
	}
	now := d.now()
	return db.AddKiosk(ctx, kiosk.Device{ID: demoKiosk, Name: "Ward 4 lobby", Site: "North", Way: kiosk.Launch, Rights: kiosk.Rights(), Keyboard: kiosk.On,
		Secret: key, Created: now, ByName: "demo", Registered: now}, kiosk.Effects{})
}

// Launch implements web.Demo: the address that the screen of a real device would sign.
func (d *demo) Launch(ctx context.Context) (string, error) {
	k, err := d.db.Kiosk(ctx, kiosk.Index{ID: demoKiosk})
	if err != nil {
		return "", err
	}
	nonce := make([]byte, 16)
	if _, err := rand.Read(nonce); err != nil {
		return "", err
	}
	return strings.TrimPrefix(kiosk.LaunchURL(d.origin, k.ID, k.Secret, d.now(), nonce), d.origin), nil
}

// demoLaunch tells scripts how to open the kiosk.
type demoLaunch struct {
	Device string `json:"device"`
	Key    string `json:"key"` // base64url
}

func (d *demo) launchKey(ctx context.Context) (demoLaunch, error) {
	k, err := d.db.Kiosk(ctx, kiosk.Index{ID: demoKiosk})
	return demoLaunch{Device: k.ID, Key: base64.RawURLEncoding.EncodeToString(k.Secret)}, err
}

// launchNow is an address of the demo's kiosk, for scripts that have read demo.json.
func (l demoLaunch) launchNow(origin string, at time.Time) (string, error) {
	key, err := base64.RawURLEncoding.DecodeString(l.Key)
	nonce := make([]byte, 16)
	_, rerr := rand.Read(nonce)
	return kiosk.LaunchURL(origin, l.Device, key, at, nonce), errors.Join(err, rerr)
}
