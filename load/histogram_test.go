package load

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestQuantilesAreThoseOfASortedListWithinABucket(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for name, draw := range map[string]func() int64{
		"even":        func() int64 { return random.Int64N(1_000_000) },
		"exponential": func() int64 { return int64(random.ExpFloat64() * 5e6) },
		"small":       func() int64 { return random.Int64N(100) },
		"wide":        func() int64 { return 1 << random.IntN(50) },
		"one":         func() int64 { return 12345678 },
	} {
		h := new(histogram)
		all := make([]int64, 10_000)
		for i := range all {
			all[i] = draw()
			h.add(all[i])
		}
		slices.Sort(all)
		for _, q := range []float64{0, 0.01, 0.5, 0.9, 0.99, 0.999, 1} {
			want := all[max(int(q*float64(len(all))+0.5), 1)-1]
			got := int64(h.quantile(q))
			if got < want || float64(got) > float64(want)*(1+1.0/subBuckets) {
				t.Errorf("%s: quantile %v is %d, want %d or a little more", name, q, got, want)
			}
		}
		if h.count() != uint64(len(all)) || h.max.Load() != all[len(all)-1] {
			t.Errorf("%s: %d counted, the greatest %d", name, h.count(), h.max.Load())
		}
	}
}

func TestEveryBucketHoldsWhatItSays(t *testing.T) {
	for b := range histogramBuckets {
		high := highest(b)
		if bucketOf(high) != b {
			t.Fatalf("bucket %d: its highest number %d is in bucket %d", b, high, bucketOf(high))
		}
		if b+1 < histogramBuckets && bucketOf(high+1) != b+1 {
			t.Fatalf("bucket %d: %d is in bucket %d", b, high+1, bucketOf(high+1))
		}
	}
	if bucketOf(-1) != 0 || bucketOf(1<<62) != histogramBuckets-1 {
		t.Error("numbers out of range are not in the outermost buckets")
	}
}

func TestHistogramsAddUpAndTellWhatCameSince(t *testing.T) {
	a, b, empty := new(histogram), new(histogram), new(histogram)
	a.add(int64(time.Millisecond))
	b.take(a)
	b.add(int64(time.Second))
	if got := b.latencies(); got.Count != 2 || got.Max != 1000 {
		t.Errorf("the sum is %+v", got)
	}
	if got := b.since(a).quantile(0); got < time.Second {
		t.Errorf("since then came %v", got)
	}
	if got := empty.latencies(); got != (Latencies{}) || got.String() != "-" {
		t.Errorf("of nothing the latencies are %+v", got)
	}
}
