package main

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"postern/portal"
)

//go:embed kioskfiles/*
var kioskFiles embed.FS

func (c *cli) kioskFiles() *cobra.Command {
	var origin string
	cmd := &cobra.Command{
		Use:   "files DIR",
		Short: "Write what a device needs: browser policies, an X session, the signing of launch addresses",
		Long: "Writes into DIR, which must not exist or be empty:\n" +
			"  postern-policies.json  to /etc/chromium/policies/managed/: the kiosk's pages and nothing else\n" +
			"  postern-kiosk.sh       the X session: Chromium on the whole screen\n" +
			"  postern-kiosk.service  starts that with the machine\n" +
			"  postern-launch.sh      signs the address that a logon screen opens; .ps1: on Windows",
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			at, err := kioskOrigin(origin)
			if err != nil {
				return fmt.Errorf("--url: %w", err)
			}
			names, err := writeKioskFiles(args[0], at)
			for _, n := range names {
				fmt.Fprintln(c.out, filepath.Join(args[0], n))
			}
			return err
		},
	}
	cmd.Flags().StringVar(&origin, "url", "", "the portal's public_url, like https://id.example.org")
	return cmd
}

// plainHost holds nothing that means something to a shell, to JSON or to Chromium's filters:
// "*" would be every host there.
var plainHost = regexp.MustCompile(`^([a-z0-9.-]+|\[[0-9a-f:.]+\])$`)

var hasPort = regexp.MustCompile(`:[0-9]+$`)

// kioskOrigin takes what public_url may be: a script is made of it.
func kioskOrigin(s string) (string, error) {
	c := portal.DefaultConfig()
	c.PublicURL, c.TrustedProxies = s, []string{"127.0.0.1"}
	if err := errors.Join(c.Validate()...); err != nil {
		return "", errors.New(strings.TrimPrefix(err.Error(), "public_url: "))
	}
	u, err := url.Parse(s)
	if err != nil || !plainHost.MatchString(strings.TrimSuffix(u.Host, ":"+u.Port())) {
		return "", fmt.Errorf("%q is not like https://id.example.org", s)
	}
	return u.Scheme + "://" + u.Host, nil
}

// kioskFilter is an origin as Chromium's URL filters have it: the dot keeps the hosts below
// it out, and the port all others.
func kioskFilter(origin string) string {
	scheme, host, _ := strings.Cut(origin, "://")
	if !hasPort.MatchString(host) {
		host += map[string]string{"https": ":443", "http": ":80"}[scheme]
	}
	return scheme + "://." + host
}

// writeKioskFiles writes all of them or none.
func writeKioskFiles(dir, origin string) (names []string, err error) {
	if there, err := os.ReadDir(dir); err == nil && len(there) > 0 {
		return nil, fmt.Errorf("%s: is not empty", dir)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	fill := strings.NewReplacer("@URL@", origin, "@FILTER@", kioskFilter(origin))
	list, err := kioskFiles.ReadDir("kioskfiles")
	if err != nil {
		return nil, err
	}
	defer func() {
		if err == nil {
			return
		}
		for _, n := range names {
			err = errors.Join(err, os.Remove(filepath.Join(dir, n)))
		}
		names = nil
	}()
	for _, f := range list {
		text, err := kioskFiles.ReadFile("kioskfiles/" + f.Name())
		if err != nil {
			return names, err
		}
		mode := fs.FileMode(0o644)
		if strings.HasSuffix(f.Name(), ".sh") {
			mode = 0o755
		}
		names = append(names, f.Name())
		if err := os.WriteFile(filepath.Join(dir, f.Name()), []byte(fill.Replace(string(text))), mode); err != nil {
			return names, err
		}
	}
	return names, nil
}
