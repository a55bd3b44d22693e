// Package portaltest drives the real program: it builds cmd/postern, starts
// `postern serve` on loopback with a real directory, a mail sink and a store of
// its own, and walks through it by HTTP and in a real browser. Scenarios are
// named by what they prove; the benchmarks print what the README quotes.
//
// Nothing here is ever linked into the program.
package portaltest
