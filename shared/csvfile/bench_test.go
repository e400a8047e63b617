package csvfile

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"io"
	"testing"
	"time"
)

// benchmarkFile has rows of 15 cells and about 250 bytes, one cell of them in quotes that are needed.
func benchmarkFile(rows int) []byte {
	var file []byte
	for i := range rows {
		file = fmt.Appendf(file, "Lung Study,PPID-%07d,Enrolment Visit,Baseline,SPMN-%08d,Tissue,Frozen Tissue,"+
			"Left lower lobe,Not Specified,\"Malignant, Invasive\",%d.25,2024-05-17 10:32,Operating Room 3,"+
			"Collected by the night shift; kept on ice until noon,FREEZER-%02d\n", i, i, i%90, i%40)
	}
	return file
}

// BenchmarkRead reports nanoseconds per row.
func BenchmarkRead(b *testing.B) {
	const rows = 20_000
	file := benchmarkFile(rows)
	ours := func() (n int, err error) {
		r := NewReader(bytes.NewReader(file), ',', Position{})
		for {
			if _, err = r.Read(); err != nil {
				return n, err
			}
			n++
		}
	}
	standard := func() (n int, err error) {
		r := csv.NewReader(bytes.NewReader(file))
		r.ReuseRecord = true
		for {
			if _, err = r.Read(); err != nil {
				return n, err
			}
			n++
		}
	}
	run := func(read func() (int, error)) func(*testing.B) {
		return func(b *testing.B) {
			b.SetBytes(int64(len(file)))
			b.ReportAllocs()
			for b.Loop() {
				if n, err := read(); err != io.EOF || n != rows {
					b.Fatal(n, err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/rows, "ns/row")
		}
	}
	b.Run("ours", run(ours))
	b.Run("encoding-csv", run(standard))
	// In turns, so that what else the machine does slows both.
	b.Run("ratio", func(b *testing.B) {
		var our, their time.Duration
		for b.Loop() {
			start := time.Now()
			if n, err := ours(); err != io.EOF || n != rows {
				b.Fatal(n, err)
			}
			middle := time.Now()
			if n, err := standard(); err != io.EOF || n != rows {
				b.Fatal(n, err)
			}
			our += middle.Sub(start)
			their += time.Since(middle)
		}
		b.ReportMetric(float64(our)/float64(their), "ours/encoding-csv")
	})
}

func BenchmarkAppendRecord(b *testing.B) {
	rec, err := NewReader(bytes.NewReader(benchmarkFile(1)), ',', Position{}).Read()
	if err != nil {
		b.Fatal(err)
	}
	var line []byte
	b.ReportAllocs()
	for b.Loop() {
		line = AppendRecord(line[:0], ',', rec.Fields...)
	}
	b.SetBytes(int64(len(line)))
}
