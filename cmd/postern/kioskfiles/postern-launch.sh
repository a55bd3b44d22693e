#!/bin/sh
# Prints an address that opens the kiosk once, within two minutes:
#
#   postern-launch.sh KEYFILE [UNIX-TIME NONCE]
#
# KEYFILE is what "postern kiosk register --way launch" wrote, readable by this user alone.
# Needs openssl. The last two are for tests.
set -eu

file=${1:?which key file}
case $(ls -ln "$file") in
-r??------*) ;;
*)
	echo "$file: others can read it; chmod 600 $file" >&2
	exit 1
	;;
esac
line=$(cat "$file")
device=${line%%:*}
key=${line#*:}

b64() { openssl base64 -A | tr '+/' '-_' | tr -d '='; }

now=${2:-$(date +%s)}
nonce=${3:-$(openssl rand 16 | b64)}
hex=$(printf '%s=' "$key" | tr -- '-_' '+/' | openssl base64 -d -A | od -An -v -tx1 | tr -d ' \n')
mac=$(printf 'postern launch v1\n%s\n%s\n%s\n%s' '@URL@' "$device" "$now" "$nonce" | openssl dgst -sha256 -mac HMAC -macopt "hexkey:$hex" -binary | b64)
printf '%s/kiosk/launch?d=%s&t=%s&n=%s&s=%s\n' '@URL@' "$device" "$now" "$nonce" "$mac"
