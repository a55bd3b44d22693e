package main

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
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

// kioskOrigin takes what public_url may be: a script is made of it.
func kioskOrigin(s string) (string, error) {
	u, err := url.Parse(s)
	switch {
	case s == "":
		return "", errors.New("missing, like https://id.example.org")
	case err != nil || u.Host == "" || u.User != nil || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" || strings.ContainsAny(s, "'\"`$\\ \t\n"):
		return "", fmt.Errorf("%q is not like https://id.example.org", s)
	}
	ip, iperr := netip.ParseAddr(u.Hostname())
	local := u.Hostname() == "localhost" || iperr == nil && ip.IsLoopback()
	if u.Scheme != "https" && !(u.Scheme == "http" && local) {
		return "", fmt.Errorf("%q: without https only localhost is served", s)
	}
	return u.Scheme + "://" + u.Host, nil
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
		if err := os.WriteFile(filepath.Join(dir, f.Name()), []byte(strings.ReplaceAll(string(text), "@URL@", origin)), mode); err != nil {
			return names, err
		}
	}
	return names, nil
}
