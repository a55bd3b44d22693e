//go:build !linux

package main

import "postern/directory"

// clock only shows the time: there is no common way to ask whether it is kept.
func (d *examination) clock() {
	d.bad(directory.Warning, "clock", "shows "+d.now().UTC().Format("2006-01-02 15:04:05 UTC")+"; compare it with a clock you trust",
		"one-time codes are wrong when the clock is", "turn time synchronisation on")
}
