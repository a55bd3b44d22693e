package main

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"time"

	"postern/portal/notify"
	"postern/portal/notify/sms"
	"postern/verify"
	"postern/verify/yubikey"
)

// maxKeys bounds the file of imported YubiKeys: some tens of thousands.
const maxKeys = 8 << 20

// openYubiKeys makes the factor, with the keys that were imported where there
// are any. The file holds the keys' secrets: strangers must not be able to read it.
func openYubiKeys(cfg yubikey.Config, vault verify.Vault, now func() time.Time) (*yubikey.Factor, error) {
	if cfg.Keys == "" {
		return yubikey.New(cfg, vault, nil, now, rand.Reader)
	}
	data, err := readPrivate(cfg.Keys, maxKeys)
	if err != nil {
		return nil, fmt.Errorf("factors.yubikey.keys: %w", err)
	}
	keys, err := yubikey.ReadCSV(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("factors.yubikey.keys: %s: %w", cfg.Keys, err)
	}
	return yubikey.New(cfg, vault, yubikey.NewInventory(keys), now, rand.Reader)
}

// destination gives numbers the form their limit is kept by, so that 0170… and
// +49170… are one phone.
func (c *Config) destination() func(channel, address string) string {
	if !c.SMS.On() {
		return nil
	}
	numbers, err := sms.NewNumbers(c.SMS.Region, c.SMS.Countries)
	if err != nil {
		return nil // a fault of the configuration, which is told as one
	}
	return func(channel, address string) string {
		if channel == string(notify.SMS) {
			if one, err := numbers.Normalize(address); err == nil {
				return one
			}
		}
		return address
	}
}
