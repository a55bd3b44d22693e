#!/bin/sh
# The X session of a kiosk or of the "forgot password" link of a logon screen: Chromium on
# the whole screen and nothing else, no window manager, started again when it ends. Run it
# as a user of its own that may do nothing else:
#
#   xinit /usr/local/lib/postern/postern-kiosk.sh -- :0 vt7 -nolisten tcp -novtswitch
#
# A kiosk keeps its profile, for the device's key is in it: POSTERN_PROFILE, by default
# ~/postern-kiosk. POSTERN_SIZE, like 1280,800, is the screen's where there is no xdpyinfo. With POSTERN_KEY, the file that "postern kiosk register --way launch" wrote,
# it keeps nothing: each start has an empty profile and an address of its own.
set -eu

here=$(dirname "$0")
browser=${POSTERN_BROWSER:-chromium}

if command -v xset >/dev/null 2>&1; then # no blank screen, no power saving
	xset s off s noblank -dpms || true
fi

# Without a window manager nobody tells Chromium how large the screen is.
size=${POSTERN_SIZE:-$(xdpyinfo 2>/dev/null | sed -n 's/^ *dimensions: *\([0-9]*\)x\([0-9]*\).*/\1,\2/p')}
if [ -n "$size" ]; then
	size="--window-position=0,0 --window-size=$size"
fi

once() {
	# shellcheck disable=SC2086 # words: POSTERN_FLAGS are more options, such as those tests need
	"$browser" --kiosk --no-first-run --no-default-browser-check --disable-pinch --overscroll-history-navigation=0 \
		--disable-session-crashed-bubble --disable-infobars --noerrdialogs --password-store=basic \
		--user-data-dir="$1" $size ${POSTERN_FLAGS:-} "$2" || true
}

while :; do
	if [ -n "${POSTERN_KEY:-}" ]; then
		profile=$(mktemp -d)
		once "$profile" "$(sh "$here/postern-launch.sh" "$POSTERN_KEY")"
		rm -rf "$profile"
		[ -n "${POSTERN_ONCE:-}" ] && exit 0 # a link of a logon screen: back to it
	else
		once "${POSTERN_PROFILE:-$HOME/postern-kiosk}" "@URL@/kiosk"
	fi
	sleep 1
done
