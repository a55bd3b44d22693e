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
if [ ${#hex} -ne 64 ] || [ ${#nonce} -ne 22 ]; then
	echo "$file: is no key, or openssl fails" >&2
	exit 1
fi

# HMAC by its two hashes (RFC 2104): openssl takes the key for its own as an argument, and
# those of a process can be read by every user. printf is the shell's own.
pad() { # $1: what every byte of the key is combined with
	rest=$hex
	while [ -n "$rest" ]; do
		tail=${rest#??}
		printf "\\$(printf '%03o' $((0x${rest%"$tail"} ^ $1)))"
		rest=$tail
	done
	for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32; do
		printf "\\$(printf '%03o' $(($1)))"
	done
}
inner() { pad 0x36 && printf 'postern launch v1\n%s\n%s\n%s\n%s' '@URL@' "$device" "$now" "$nonce"; }
mac=$({ pad 0x5c && inner | openssl dgst -sha256 -binary; } | openssl dgst -sha256 -binary | b64)
printf '%s/kiosk/launch?d=%s&t=%s&n=%s&s=%s\n' '@URL@' "$device" "$now" "$nonce" "$mac"
