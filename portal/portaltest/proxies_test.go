package portaltest

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// readmeBlock is the one of the README in that language.
func readmeBlock(t testing.TB, language string) string {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, block, found := strings.Cut(string(text), "```"+language+"\n")
	block, _, closed := strings.Cut(block, "```")
	if !found || !closed {
		t.Fatalf("the README has no block of %s", language)
	}
	return block
}

// proxyPath finds a proxy, and skips without it on a laptop.
func proxyPath(t testing.TB, proxy string) string {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: no services")
	}
	for _, dir := range []string{"", "/usr/sbin/", "/usr/local/sbin/"} {
		if path, err := exec.LookPath(dir + proxy); err == nil {
			return path
		}
	}
	if os.Getenv("CI") != "" {
		t.Fatalf("there is no %s", proxy)
	}
	t.Skipf("there is no %s", proxy)
	return ""
}
