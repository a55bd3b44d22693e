package password

import (
	"log/slog"
	"sync/atomic"
)

// breached returns the key of what the list on this machine has against pw.
func (j *Judge) breached(pw string) string {
	if j.leaks == nil {
		return ""
	}
	leaked, err := j.leaks.has(pw)
	return j.verdict(leaked, err, &j.leaks.blind, slog.String("path", j.leaks.path))
}

// asked is the same of the service.
func (j *Judge) asked(pw string) string {
	if j.service == nil {
		return ""
	}
	leaked, err := j.service.has(pw)
	return j.verdict(leaked, err, &j.service.blind, slog.String("host", j.service.host))
}

// verdict fails closed: what cannot be looked up is not accepted.
func (j *Judge) verdict(leaked bool, err error, blind *atomic.Bool, where slog.Attr) string {
	switch {
	case err != nil:
		// Said once: whoever tries passwords must not fill the log.
		if !blind.Swap(true) {
			j.log().Error("the list of leaked passwords cannot be read: no new password is accepted", where, "error", err.Error())
		}
		return "breach_unavailable"
	case blind.Swap(false):
		j.log().Info("the list of leaked passwords can be read again", where)
	}
	if leaked {
		return "breached"
	}
	return ""
}

func (j *Judge) log() *slog.Logger {
	if j.cfg.Log != nil {
		return j.cfg.Log
	}
	return slog.Default()
}
