package store

import (
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/tink-crypto/tink-go/v2/aead/subtle"

	"postern/directory"
	"postern/portal/audit"
)

const (
	readPersonKey   = `SELECT body FROM person_keys WHERE person = $1`
	insertPersonKey = `INSERT INTO person_keys (person, created, body) VALUES ($1, $2, $3) ON CONFLICT (person) DO NOTHING RETURNING body`
	erasePersonKey  = `DELETE FROM person_keys WHERE person = $1`
	eraseStrangers  = `DELETE FROM person_keys WHERE person >= $1 AND person < $2`

	// personKeyFor is how long a node may go on sealing under a key that another one
	// erased meanwhile: nobody can read that either.
	personKeyFor = time.Minute
	// strangers are those whose account nobody knows, by the month: what they typed and
	// where from is about somebody too.
	strangers      = "strangers:"
	strangersMonth = strangers + "2006-01"
)

// personal is what an event says of one person beyond their account's id.
type personal struct {
	Name    string            `json:"name,omitempty"`
	Address string            `json:"address,omitempty"`
	Detail  map[string]string `json:"detail,omitempty"`
	Proof   json.RawMessage   `json:"proof,omitempty"`
}

func (p personal) empty() bool {
	return p.Name == "" && p.Address == "" && len(p.Detail) == 0 && len(p.Proof) == 0
}

// personalDetails are those of Detail that name somebody or are words about somebody.
var personalDetails = []string{"login", "name", "note", "technician"}

// The two whom an event may be about.
const (
	asSubject = "subject"
	asActor   = "actor"
)

// person is under whose key something of an account is sealed.
func person(id directory.ID, at time.Time) string {
	if id == "" || strings.HasPrefix(string(id), "decoy:") {
		return at.UTC().Format(strangersMonth)
	}
	return key(string(id))
}

// personKeys of one transaction, or of one reading.
type personKeys map[string]*subtle.AESGCM

// knownKeys are those this process has seen committed, for sealing alone.
type knownKeys struct{ sync.Map }

type knownKey struct {
	aead *subtle.AESGCM
	at   time.Time
}

// conceal takes what is personal out of an event and puts it back sealed: the actor's
// under the actor's key, everything else under the subject's. The address is where the
// actor was.
func (t *tx) conceal(ctx context.Context, e *audit.Event) error {
	e.Personal = nil
	of := map[string]personal{}
	subject := personal{Name: e.SubjectName, Proof: e.Proof}
	for _, k := range personalDetails {
		v, there := e.Detail[k]
		if !there {
			continue
		}
		if subject.Detail == nil {
			subject.Detail = map[string]string{}
			kept := make(map[string]string, len(e.Detail))
			for k, v := range e.Detail {
				kept[k] = v
			}
			e.Detail = kept
		}
		subject.Detail[k] = v
		delete(e.Detail, k)
	}
	actor := personal{Name: e.ActorName, Address: e.Address}
	if e.Actor == "" || e.Actor == e.Subject {
		subject.Address, actor.Address = actor.Address, ""
	}
	of[asSubject], of[asActor] = subject, actor
	e.SubjectName, e.ActorName, e.Address, e.Proof = "", "", "", nil
	for role, id := range map[string]directory.ID{asSubject: e.Subject, asActor: e.Actor} {
		if of[role].empty() {
			continue
		}
		sealed, err := t.sealPersonal(ctx, person(id, e.At), e.ID, role, of[role])
		if err != nil {
			return err
		}
		if e.Personal == nil {
			e.Personal = map[string]string{}
		}
		e.Personal[role] = sealed
	}
	return nil
}

func (t *tx) sealPersonal(ctx context.Context, who, event, role string, p personal) (string, error) {
	aead, err := t.personKey(ctx, who)
	if err != nil {
		return "", err
	}
	plain, err := json.Marshal(p)
	if err != nil {
		return "", fmt.Errorf("store: personal: %w", err)
	}
	sealed, err := aead.Encrypt(plain, personalPlace(event, role))
	if err != nil {
		return "", fmt.Errorf("store: personal: %w", err)
	}
	return base64.RawStdEncoding.EncodeToString(sealed), nil
}

// personalPlace binds what is sealed to the event and to whom it is about.
func personalPlace(event, role string) []byte { return []byte("event\x00" + event + "\x00" + role) }

// personKey is the key of somebody, made when there is none yet. One that was made here
// is known to others once this transaction is committed.
func (t *tx) personKey(ctx context.Context, who string) (*subtle.AESGCM, error) {
	if aead := t.persons[who]; aead != nil {
		return aead, nil
	}
	if v, ok := t.db.persons.Load(who); ok {
		if k := v.(knownKey); t.db.now().Sub(k.at).Abs() < personKeyFor {
			return k.aead, nil
		}
	}
	aead, err := t.db.readPersonKey(ctx, t, who)
	if errors.Is(err, sql.ErrNoRows) {
		if aead, err = t.makePersonKey(ctx, who); errors.Is(err, sql.ErrNoRows) {
			aead, err = t.db.readPersonKey(ctx, t, who) // somebody else's, who was first
		}
	}
	if err != nil {
		return nil, err
	}
	if t.persons == nil {
		t.persons = personKeys{}
	}
	t.persons[who] = aead
	return aead, nil
}

// makePersonKey returns sql.ErrNoRows where somebody else made it meanwhile.
func (t *tx) makePersonKey(ctx context.Context, who string) (*subtle.AESGCM, error) {
	fresh := make([]byte, 32)
	if _, err := io.ReadFull(t.db.rand, fresh); err != nil {
		return nil, fmt.Errorf("store: no randomness: %w", err)
	}
	body, err := t.db.seal(sealedPersons, fresh, []byte(who))
	if err != nil {
		return nil, err
	}
	if err := t.one(ctx, insertPersonKey, []any{who, micros(t.db.now()), body}, &body); err != nil {
		return nil, fmt.Errorf("store: key of a person: %w", err)
	}
	aead, err := subtle.NewAESGCM(fresh)
	if err != nil {
		return nil, fmt.Errorf("store: key of a person: %w", err)
	}
	return aead, nil
}

func (db *DB) readPersonKey(ctx context.Context, r rower, who string) (*subtle.AESGCM, error) {
	var body, plain []byte
	if err := r.one(ctx, readPersonKey, []any{who}, &body); err != nil {
		return nil, fmt.Errorf("store: key of a person: %w", err)
	}
	if err := db.open(sealedPersons, body, &plain, []byte(who)); err != nil {
		return nil, err
	}
	aead, err := subtle.NewAESGCM(plain)
	if err != nil {
		return nil, fmt.Errorf("store: key of a person: %w", err)
	}
	return aead, nil
}

// remember keeps the keys of a committed transaction for the next ones.
func (db *DB) remember(keys personKeys) {
	for who, aead := range keys {
		db.persons.Store(who, knownKey{aead, db.now()})
	}
}

// revealAll puts what is personal back where it was. Of whom the key is erased it stays
// sealed for ever: Personal keeps it, and the fields are empty.
func (db *DB) revealAll(ctx context.Context, list []audit.Event) error {
	var known personKeys
	for i := range list {
		if len(list[i].Personal) == 0 {
			continue
		}
		if known == nil {
			known = personKeys{}
		}
		if err := db.reveal(ctx, known, &list[i]); err != nil {
			return err
		}
	}
	return nil
}

func (db *DB) reveal(ctx context.Context, known personKeys, e *audit.Event) error {
	for role, id := range map[string]directory.ID{asSubject: e.Subject, asActor: e.Actor} {
		text, there := e.Personal[role]
		if !there {
			continue
		}
		who := person(id, e.At)
		aead, seen := known[who]
		if !seen {
			var err error
			if aead, err = db.readPersonKey(ctx, db.reader(ctx), who); err != nil && !errors.Is(err, sql.ErrNoRows) {
				return err
			}
			known[who] = aead // nil: it was erased
		}
		if aead == nil {
			continue
		}
		p, err := openPersonal(aead, text, e.ID, role)
		if err != nil {
			// Sealed under a key that was erased, while another node still had it; or
			// changed, which the sealed log tells and not we.
			continue
		}
		p.putBack(e, role)
	}
	if len(e.Personal) == 0 {
		e.Personal = nil
	}
	return nil
}

func openPersonal(aead *subtle.AESGCM, text, event, role string) (p personal, err error) {
	sealed, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil {
		return p, err
	}
	plain, err := aead.Decrypt(sealed, personalPlace(event, role))
	if err != nil {
		return p, err
	}
	return p, json.Unmarshal(plain, &p)
}

func (p personal) putBack(e *audit.Event, role string) {
	delete(e.Personal, role)
	if role == asActor {
		e.ActorName = p.Name
	} else {
		e.SubjectName, e.Proof = p.Name, p.Proof
		if e.Actor == e.Subject {
			e.ActorName = p.Name
		}
		for k, v := range p.Detail {
			if e.Detail == nil {
				e.Detail = map[string]string{}
			}
			e.Detail[k] = v
		}
	}
	if p.Address != "" {
		e.Address = p.Address
	}
}

// Erase makes it impossible to read who an account belongs to in the record: names,
// addresses and words in what was recorded until now. The record itself stays, and can
// still be checked; so does the account's id in it. by is recorded. It returns false when
// there was nothing to erase. Copies of the database from before still have the key.
func (db *DB) Erase(ctx context.Context, account directory.ID, by audit.Event) (erased bool, err error) {
	by.Kind, by.Subject, by.Outcome = audit.PersonErased, account, audit.OK
	return db.erase(ctx, by, erasePersonKey, key(string(account)))
}

// EraseStrangers does the same for those whose account nobody knew, in every month that
// was over before a moment.
func (db *DB) EraseStrangers(ctx context.Context, before time.Time, by audit.Event) (erased bool, err error) {
	until := before.UTC().Format(strangersMonth)
	by.Kind, by.Outcome, by.Reason = audit.PersonErased, audit.OK, "strangers"
	by.Detail = map[string]string{"until": until}
	return db.erase(ctx, by, eraseStrangers, strangers, until)
}

func (db *DB) erase(ctx context.Context, by audit.Event, statement string, args ...any) (erased bool, err error) {
	err = db.within(ctx, func(ctx context.Context, t *tx) error {
		n, err := t.exec(ctx, statement, args...)
		if err != nil {
			return fmt.Errorf("store: erase: %w", err)
		}
		if erased = n > 0; !erased {
			return nil
		}
		return t.record(ctx, []audit.Event{by})
	})
	db.persons.Clear()
	return erased && err == nil, err
}

// revealActors is revealAll for those who look at the actors alone.
func (db *DB) revealActors(ctx context.Context, known personKeys, list []audit.Event) error {
	for i := range list {
		e := &list[i]
		if e.Personal == nil {
			continue
		}
		if e.Personal[asActor] != "" {
			if err := db.reveal(ctx, known, e); err != nil {
				return err
			}
		}
		e.ID, e.Address, e.Personal = "", "", nil
	}
	return nil
}

// eraseAgain does what an event says was done, in a database from before.
func (t *tx) eraseAgain(ctx context.Context, e audit.Event) error {
	statement, args := erasePersonKey, []any{key(string(e.Subject))}
	if until := e.Detail["until"]; strings.HasPrefix(until, strangers) {
		statement, args = eraseStrangers, []any{strangers, until}
	}
	_, err := t.exec(ctx, statement, args...)
	t.db.persons.Clear()
	return err
}
