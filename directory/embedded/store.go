package embedded

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"postern/directory"
)

// data is the whole directory, as kept in the file.
type data struct {
	Version  int                 `json:"version"`
	Domain   [3]uint32           `json:"domain"` // of the SID
	NextRID  uint32              `json:"next_rid"`
	GUIDs    map[string]guid     `json:"guids"`  // of entries that are no people, by DN
	Groups   map[string]uint32   `json:"groups"` // RID by name
	Nested   map[string][]string `json:"nested"` // groups a group is in
	Accounts []*account          `json:"accounts"`
}

const (
	dataFile    = "directory.json"
	dataVersion = 1
)

// open reads the file in dir, or makes the people of cfg when there is none.
func open(cfg Config) (*data, error) {
	raw, err := os.ReadFile(filepath.Join(cfg.Dir, dataFile))
	if errors.Is(err, fs.ErrNotExist) {
		d, err := create(cfg)
		if err != nil {
			return nil, err
		}
		return d, d.save(cfg.Dir)
	}
	if err != nil {
		return nil, fmt.Errorf("embedded: %w", err)
	}
	var d data
	if err := json.Unmarshal(raw, &d); err != nil {
		return nil, fmt.Errorf("embedded: %s: %w", dataFile, err)
	}
	if d.Version != dataVersion {
		return nil, fmt.Errorf("embedded: %s has version %d, this program reads %d", dataFile, d.Version, dataVersion)
	}
	return &d, nil
}

// save replaces the file as a whole: after a crash there is the old one or the
// new one, never half of either.
func (d *data) save(dir string) error {
	raw, err := json.MarshalIndent(d, "", " ")
	if err != nil {
		return fmt.Errorf("embedded: %w", err)
	}
	return writeFile(filepath.Join(dir, dataFile), raw)
}

func writeFile(path string, content []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".new-*") // mode 0600
	if err != nil {
		return fmt.Errorf("embedded: %w", err)
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(content)
	if err == nil {
		err = tmp.Sync()
	}
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("embedded: %w", err)
	}
	return nil
}

func create(cfg Config) (*data, error) {
	d := &data{
		Version: dataVersion, NextRID: 1200, GUIDs: map[string]guid{}, Nested: map[string][]string{},
		Groups: map[string]uint32{DomainAdmins: 512, DomainUsers: 513},
	}
	for i := range d.Domain {
		if err := binary.Read(cfg.Rand, binary.LittleEndian, &d.Domain[i]); err != nil {
			return nil, fmt.Errorf("embedded: random: %w", err)
		}
	}
	for group, in := range cfg.Nested {
		d.group(group)
		for _, parent := range in {
			d.group(parent)
		}
		d.Nested[group] = in
	}
	for _, p := range cfg.People {
		if err := d.add(p, cfg.Rand, cfg.Now()); err != nil {
			return nil, err
		}
	}
	for _, dn := range append(d.fixed(), baseDN) {
		if err := d.identify(dn, cfg.Rand); err != nil {
			return nil, err
		}
	}
	return d, nil
}

func (d *data) rid() uint32 {
	d.NextRID++
	return d.NextRID - 1
}

func (d *data) group(name string) {
	if _, ok := d.Groups[name]; !ok {
		d.Groups[name] = d.rid()
	}
}

func (d *data) identify(dn string, random io.Reader) error {
	g, err := newGUID(random)
	d.GUIDs[dn] = g
	return err
}

// add makes an account out of a sample person, in the state the person asks for.
func (d *data) add(p Person, random io.Reader, now time.Time) error {
	if p.Login == "" || p.Password.Empty() {
		return fmt.Errorf("embedded: a person needs a login and a password")
	}
	for _, other := range d.Accounts {
		if foldEqual(other.Login, p.Login) {
			return fmt.Errorf("embedded: two people called %q", p.Login)
		}
	}
	g, err := newGUID(random)
	if err != nil {
		return err
	}
	h, err := newHash(p.Password.Reveal(), random)
	if err != nil {
		return err
	}
	a := &account{
		GUID: g, RID: d.rid(), Login: p.Login, DN: p.dnOf(), Name: p.Name, Given: p.Given, Surname: p.Surname,
		Mail: p.Mail, Phone: p.Phone, Employee: p.Employee, Language: p.Language, Manager: p.Manager, Groups: p.Groups,
		PrimaryGroup: DomainUsers, Protected: p.Protected, Disabled: p.Disabled, NeverExpires: p.NeverExpires, Created: now,
		// An hour ago: nobody starts out inside a minimum age by accident.
		PasswordSet: now.Add(-time.Hour), Remembered: []hash{h}, SamplePassword: p.Password.Reveal(),
	}
	if p.PrimaryGroup != "" {
		a.PrimaryGroup = p.PrimaryGroup
		d.group(p.PrimaryGroup)
	}
	for _, name := range p.Groups {
		d.group(name)
	}
	pol := domainPolicy(0)
	if p.Locked {
		for range pol.threshold {
			a.missed(pol, now)
		}
	}
	if p.PasswordAge > 0 {
		a.PasswordSet = now.Add(-p.PasswordAge)
	}
	if p.MustChange {
		a.PasswordSet = time.Time{}
	}
	if p.PasswordExpired {
		a.PasswordSet = now.Add(-pol.maxAge - 30*24*time.Hour)
	}
	if p.AccountExpired {
		a.Expires = now.Add(-24 * time.Hour)
	}
	d.Accounts = append(d.Accounts, a)
	return nil
}

func (a *account) person(p policy, now time.Time) Person {
	out := Person{
		Login: a.Login, DN: a.DN, Name: a.Name, Given: a.Given, Surname: a.Surname, Mail: a.Mail, Phone: a.Phone, Employee: a.Employee,
		Language: a.Language, Password: directory.NewSecret(a.SamplePassword), Groups: a.Groups, Manager: a.Manager,
		Protected: a.Protected, Disabled: a.Disabled, Locked: a.locked(p, now), MustChange: a.mustChange(), NeverExpires: a.NeverExpires,
		PasswordExpired: a.passwordExpired(p, now), AccountExpired: a.accountExpired(now),
	}
	if a.PrimaryGroup != DomainUsers {
		out.PrimaryGroup = a.PrimaryGroup
	}
	return out
}
