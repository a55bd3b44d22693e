package main

import (
	"syscall"

	"postern/directory"
)

// timeError is TIME_ERROR of adjtimex(2): the clock is not synchronised.
const timeError = 5

// clock asks the kernel whether something keeps its clock right. One-time codes
// and certificates go by it.
func (d *examination) clock() {
	var t syscall.Timex // no modes: reads only
	state, err := syscall.Adjtimex(&t)
	switch {
	case err != nil:
		d.bad(directory.Warning, "clock", "the system does not say whether its clock is synchronised", "one-time codes are wrong when the clock is", "timedatectl status")
	case state == timeError:
		d.bad(directory.Warning, "clock", "is not synchronised, says the system; it shows "+d.now().UTC().Format("2006-01-02 15:04:05 UTC"),
			"one-time codes are wrong when the clock is", "timedatectl set-ntp true, or install chrony")
	default:
		d.ok("clock", "is synchronised; it shows %s", d.now().UTC().Format("2006-01-02 15:04:05 UTC"))
	}
}
