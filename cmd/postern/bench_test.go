package main

import (
	"io"
	"net/http"
	"testing"
)

// BenchmarkStart is from the first line of the configuration to the first page,
// with a store that exists; product's bar is 100 ms.
func BenchmarkStart(b *testing.B) {
	h := newHouse(b)
	stop := h.serve()
	h.status("/readyz")
	stop()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for b.Loop() {
		stop := h.serve()
		resp, err := client.Get(h.url + "/")
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			b.Fatal(err)
		}
		resp.Body.Close()
		b.StopTimer()
		stop()
		b.StartTimer()
	}
}
