package portaltest

import (
	"fmt"
	"runtime"
	"testing"
	"time"
)

// BenchmarkNodes prints what the README quotes of several nodes: the same cases at one, two
// and three of them, on one PostgreSQL and one Redis behind HAProxy, beside the bare
// operations on the same directory. All of it shares the machine: more nodes bring no
// more processors here, and what the table shows is what sharing costs.
func BenchmarkNodes(b *testing.B) {
	bin, err := Build(b.TempDir(), false) // as it is shipped: without the race detector
	if err != nil {
		b.Fatal(err)
	}
	speed := &table{title: fmt.Sprintf("**Several nodes** on PostgreSQL and Redis behind HAProxy, OpenLDAP over LDAPS, %d cores shared by all of it", runtime.NumCPU()),
		key: 3, head: []string{"flow", "nodes", "at once", "portal/s", "directory alone/s", "ratio", "p50 ms", "p99 ms", "alone p99 ms", "nodes' CPU ms", "directory CPU ms", "load CPU ms", "requests"}}
	sz := size{people: 192, changes: map[int]int{8: 192, 32: 192}, cases: map[int]int{8: 96, 32: 192}, rounds: 3}
	for n := 1; n <= 3; n++ {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			c := newCluster(b, "haproxy", n, sz.people, func(c *cluster) { c.bin = bin })
			c.mill.nodes = func() (all time.Duration) {
				for _, node := range c.nodes {
					all += node.Usage().CPU
				}
				return all
			}
			c.crew(b)
			for _, f := range []flow{changes, byApp} {
				for _, at := range []int{8, 32} {
					b.Run(fmt.Sprintf("%s/%d", f.name, at), func(b *testing.B) {
						one := &table{key: 2}
						c.race(b, one, sz, f, at)
						row := one.rows[0]
						cells := []any{row[0], n}
						for _, cell := range row[1:] {
							cells = append(cells, cell)
						}
						speed.add(cells...)
					})
				}
			}
		})
	}
	fmt.Println(speed)
}
