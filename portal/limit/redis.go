package limit

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
	"github.com/sony/gobreaker/v2"
	"github.com/ulule/limiter/v3"
	ulule "github.com/ulule/limiter/v3/drivers/store/redis"
)

const (
	// redisTime is how long one counter may take. A request takes several: with three
	// failures in a row nobody else waits.
	redisTime = 300 * time.Millisecond
	tripAfter = 3
	// tripFor is how long Redis is left alone then. One request tries it afterwards.
	tripFor = 5 * time.Second
	// alone is what part of a limit each node allows by itself while Redis is away: five
	// nodes together allow no more than was meant (security case 17).
	alone       = 5
	redisPrefix = "postern"
	redisConns  = 32
)

// together are limits that no node may count by itself: what they bound costs money, or
// is sent to somebody. Without Redis there is none of it.
var together = []Name{Send, SendDay, Destination, SendGlobal, Pass}

// ErrApart is a limit that cannot be counted without the other nodes.
var ErrApart = errors.New("limit: Redis does not answer, and this is counted together or not at all")

// Redis is a Store that several nodes share, by Redis's own clock. It holds names of
// limits and MACs, and nothing that says of whom.
//
// While it does not answer, each node counts by itself at a fifth of the rate, and what
// is sent to people (see together) is refused. That is stricter for as long as there
// are no more than five nodes; the durable counters of wrong answers hold in any case.
type Redis struct {
	client *redis.Client
	here   *Memory
	broken *gobreaker.CircuitBreaker[limiter.Context]

	mu    sync.Mutex
	store limiter.Store // nil until Redis has answered once
}

// quiet: what go-redis logs by itself, with addresses, is told by Redis's errors.
type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

// parseRedis refuses an address that would be spoken to in the clear over a network.
func parseRedis(address string) (*redis.Options, error) {
	o, err := redis.ParseURL(address)
	if err != nil {
		// The error quotes the address, which may hold a password.
		return nil, errors.New("the address cannot be read; it is like rediss://:password@redis.example.org:6379/0")
	}
	host, _, err := net.SplitHostPort(o.Addr)
	if err != nil {
		host = o.Addr
	}
	ip := net.ParseIP(host)
	if local := o.Network == "unix" || host == "localhost" || ip != nil && ip.IsLoopback(); o.TLSConfig == nil && !local {
		return nil, fmt.Errorf("the connection to %s would not be encrypted: write rediss://", host)
	}
	return o, nil
}

// NewRedis takes a redis:// or rediss:// address. It does not wait for Redis to be
// there. most bounds the counters kept here while it is not. changed is told when Redis
// is given up (true) and when it answers again; it may be nil and must not wait.
func NewRedis(address string, most int, changed func(down bool)) (*Redis, error) {
	o, err := parseRedis(address)
	if err != nil {
		return nil, fmt.Errorf("limit: redis: %w", err)
	}
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.PoolTimeout = redisTime, redisTime, redisTime, redisTime
	o.ContextTimeoutEnabled, o.MaxRetries, o.DialerRetries, o.PoolSize = true, 1, 1, redisConns
	o.DisableIdentity = true
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	redis.SetLogger(quiet{})
	r := &Redis{client: redis.NewClient(o), here: NewMemory(most)}
	r.broken = gobreaker.NewCircuitBreaker[limiter.Context](gobreaker.Settings{
		Name: "redis", MaxRequests: 1, Timeout: tripFor,
		ReadyToTrip:  func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= tripAfter },
		IsSuccessful: func(err error) bool { return err == nil },
		OnStateChange: func(_ string, from, to gobreaker.State) {
			if changed == nil {
				return
			}
			switch {
			case to == gobreaker.StateOpen && from == gobreaker.StateClosed:
				changed(true)
			case to == gobreaker.StateClosed:
				changed(false)
			}
		},
	})
	return r, nil
}

// Close ends its connections.
func (r *Redis) Close() error { return r.client.Close() }

// Ping asks Redis whether it answers and what it does when memory runs out, for the doctor.
func (r *Redis) Ping(ctx context.Context) (policy string, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*redisTime)
	defer cancel()
	if err := r.client.Ping(ctx).Err(); err != nil {
		return "", fmt.Errorf("limit: redis: %w", err)
	}
	// Refused where commands are restricted: then nothing is known of it.
	got, err := r.client.ConfigGet(ctx, "maxmemory-policy").Result()
	if err != nil {
		return "", nil
	}
	return got["maxmemory-policy"], nil
}

// Get counts one.
func (r *Redis) Get(ctx context.Context, key string, rate limiter.Rate) (limiter.Context, error) {
	return r.ask(ctx, key, rate, limiter.Store.Get, (*Memory).Get)
}

// Peek counts nothing.
func (r *Redis) Peek(ctx context.Context, key string, rate limiter.Rate) (limiter.Context, error) {
	return r.ask(ctx, key, rate, limiter.Store.Peek, (*Memory).Peek)
}

func (r *Redis) ask(ctx context.Context, key string, rate limiter.Rate,
	there func(limiter.Store, context.Context, string, limiter.Rate) (limiter.Context, error),
	here func(*Memory, context.Context, string, limiter.Rate) (limiter.Context, error)) (limiter.Context, error) {
	if err := ctx.Err(); err != nil {
		return limiter.Context{}, err // who has left is no fault of Redis
	}
	got, err := r.broken.Execute(func() (limiter.Context, error) {
		// Not by the time a request has left: a slow one is no fault of Redis either.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), redisTime)
		defer cancel()
		store, err := r.ready(ctx)
		if err != nil {
			return limiter.Context{}, err
		}
		got, err := there(store, ctx, key, rate)
		if err == nil && (got.Limit != rate.Limit || got.Remaining < 0 || got.Remaining > got.Limit || got.Reset <= 0) {
			err = errors.New("an answer that cannot be")
		}
		return got, err
	})
	if err == nil {
		return got, nil
	}
	name, _, _ := strings.Cut(key, ":")
	if slices.Contains(together, Name(name)) {
		return limiter.Context{}, fmt.Errorf("%w: %w", ErrApart, err)
	}
	rate.Limit = max(1, rate.Limit/alone)
	return here(r.here, ctx, key, rate)
}

// ready loads what ulule runs in Redis, as soon as it is there.
func (r *Redis) ready(ctx context.Context) (limiter.Store, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.store != nil {
		return r.store, nil
	}
	if err := r.client.Ping(ctx).Err(); err != nil {
		return nil, err // the library's own start has no deadline
	}
	store, err := ulule.NewStoreWithOptions(r.client, limiter.StoreOptions{Prefix: redisPrefix})
	if err != nil {
		return nil, err
	}
	r.store = store
	return store, nil
}
