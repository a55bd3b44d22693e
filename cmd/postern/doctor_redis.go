package main

import (
	"context"

	"postern/directory"
	"postern/portal/limit"
)

// redis asks the Redis that nodes count in together, and changes nothing in it.
func (d *examination) redis(ctx context.Context, cfg Config) {
	if cfg.Limits.Redis == "" {
		if cfg.Store.Postgres != "" {
			d.ok("redis", "not set up: every node counts for itself, so that two nodes allow twice as much")
		}
		return
	}
	r, err := limit.NewRedis(cfg.Limits.Redis, cfg.Limits.Remember, nil)
	if err != nil {
		d.bad(directory.Failure, "redis", err.Error(), "the portal cannot start", "correct limits.redis")
		return
	}
	defer r.Close()
	switch policy, err := r.Ping(ctx); {
	case err != nil:
		d.bad(directory.Failure, "redis", err.Error(), "every node counts for itself at a fifth of every limit, and no codes are sent",
			"start Redis, or correct limits.redis")
	case policy != "" && policy != "noeviction":
		d.bad(directory.Warning, "redis", "answers, with maxmemory-policy "+policy, "when its memory is full it forgets who is being limited",
			"redis-cli config set maxmemory-policy noeviction, and the same in redis.conf")
	default:
		d.ok("redis", "answers")
	}
}
