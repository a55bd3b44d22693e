#!/bin/sh
# The X session of a kiosk or of the "forgot password" link of a logon screen: Chromium on
# the whole screen and nothing else, no window manager, started again when it ends. Run it
# as a user of its own that may do nothing else:
#
#   xinit /usr/local/lib/postern/postern-kiosk.sh -- :0 vt7 -nolisten tcp -novtswitch -noreset
#
# Without -noreset the X server forgets which keys are off. Needs xmodmap, xset, xwininfo and xdpyinfo (Debian: x11-xserver-utils, x11-utils).
#
# A kiosk keeps its profile, for the device's key is in it: POSTERN_PROFILE, by default
# ~/postern-kiosk. With POSTERN_KEY, the file that "postern kiosk register --way launch"
# wrote, it keeps nothing: each start has an empty profile and an address of its own. With
# POSTERN_ONCE=1 beside it, it ends when nobody has been at it for a while, or after 20
# minutes. POSTERN_SIZE, like 1280,800, is used instead of what xdpyinfo says.
set -eu

here=$(dirname "$0")
browser=${POSTERN_BROWSER:-chromium}

for tool in xmodmap xwininfo; do
	if ! command -v "$tool" >/dev/null; then
		echo "postern-kiosk: $tool is missing; without it keys lead out of the kiosk" >&2
		exit 1
	fi
done
if command -v xset >/dev/null; then # no blank screen, no power saving
	xset s off s noblank -dpms || true
fi

# Without a window manager nobody tells Chromium how large the screen is.
size=${POSTERN_SIZE:-$(xdpyinfo 2>/dev/null | sed -n 's/^ *dimensions: *\([0-9]*\)x\([0-9]*\).*/\1,\2/p')}
if [ -n "$size" ]; then
	size="--window-position=0,0 --window-size=$size"
fi

# No policy of Chromium's turns off its keys for windows, tabs, help and the task manager.
# So Ctrl, Alt and Super, Escape, F1 to F12 and the keys of media keyboards are all Pause:
# those without a symbol Chromium takes by their place. AltGr stays, for @ and the like.
# unlocked reports whether it is not so, and makes it so.
unlocked() {
	codes=$(xmodmap -pke | awk '/(Control|Alt|Meta|Super|Hyper)_[LR]/ && !/ISO_Level3_Shift/ { print $2 }')
	if [ -z "$codes" ] && ! xmodmap -pm | grep -Eq '^(control|mod1|mod4) +[^ ]'; then
		return 1
	fi
	{
		printf 'clear %s\n' control mod1 mod4
		for code in $codes 9 $(seq 67 76) 95 96 107 127 $(seq 133 202) $(seq 208 255); do
			echo "keycode $code = Pause"
		done
	} | xmodmap - >/dev/null 2>&1 || true # not while one is held down: a second later again
	return 0
}

# windows names those that are on the screen, menus aside.
windows() {
	xwininfo -root -children | awk '/^ +0x/ { print $1 }' | while read -r id; do
		xwininfo -id "$id" -stats 2>/dev/null | awk '/Window id:/ { name = $0 } /Map State: IsViewable/ { seen = 1 } /Override Redirect State: no/ { own = 1 } END { if (seen && own) print name }'
	done
}

# watch lives as long as the browser and ends it: when it has a second window, which the
# mouse can open; when a keyboard was plugged in, which had all its keys until now; and where
# it keeps nothing, when nobody is at it, which is when its first page is there, and at the
# latest when its pass is over (20 minutes).
watch() {
	start=$(date +%s) left=$start home=
	while kill -0 "$1" 2>/dev/null; do
		now=$(date +%s)
		there=$(windows)
		if [ $((now - start)) -lt 10 ]; then
			home=$there
		fi
		if [ "$there" != "$home" ]; then
			left=$now
		fi
		if unlocked && [ $((now - start)) -ge 10 ] || [ "$(printf '%s\n' "$there" | wc -l)" -gt 1 ]; then
			kill "$1" || true
		elif [ -n "${POSTERN_KEY:-}" ]; then
			if [ $((now - start)) -ge 1200 ] || [ $((now - start)) -ge "$idle" ] && [ $((now - left)) -ge 90 ]; then
				kill "$1" || true
			fi
		fi
		sleep 1
	done
}
idle=600
if [ -n "${POSTERN_ONCE:-}" ]; then
	idle=90
fi

once() {
	unlocked || true
	# shellcheck disable=SC2086 # words: POSTERN_FLAGS are more options, such as those tests need
	"$browser" --kiosk --no-first-run --no-default-browser-check --disable-pinch --overscroll-history-navigation=0 \
		--disable-session-crashed-bubble --disable-infobars --noerrdialogs --password-store=basic \
		--user-data-dir="$1" $size ${POSTERN_FLAGS:-} "$2" &
	pid=$!
	watch "$pid"
	wait "$pid" || true
	pid=
}

# forget ends the browser with the session, and first: it would write into the profile that
# is just being removed.
profile= pid=
forget() {
	[ -z "$pid" ] || kill "$pid" 2>/dev/null || true
	wait
	[ -z "$profile" ] || rm -rf "$profile"
}
trap forget EXIT
trap 'exit 1' HUP INT TERM
while :; do
	if [ -z "${POSTERN_KEY:-}" ]; then
		once "${POSTERN_PROFILE:-$HOME/postern-kiosk}" "@URL@/kiosk"
	else
		address=$(sh "$here/postern-launch.sh" "$POSTERN_KEY") # none: no browser
		profile=$(mktemp -d "${XDG_RUNTIME_DIR:-${TMPDIR:-/tmp}}/postern.XXXXXXXX") # in memory, where there is such a folder
		once "$profile" "$address"
		rm -rf "$profile"
		if [ -n "${POSTERN_ONCE:-}" ]; then # a link of a logon screen: back to it
			exit 0
		fi
	fi
	sleep 1
done
