package load

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// A histogram counts durations in buckets whose width grows with them: 64 in every
// doubling, so that what it says is at most 1.6 % too high. It has a fixed size, takes durations from
// 0 to about nine years, and is safe for concurrent use.
type histogram struct {
	counts [histogramBuckets]atomic.Uint64
	max    atomic.Int64
}

const (
	subBits          = 6 // 64 buckets in a doubling
	subBuckets       = 1 << subBits
	maxBits          = 58
	histogramBuckets = (maxBits - subBits + 1) * subBuckets
)

// bucketOf returns the bucket of a number of nanoseconds. Below 128 every number has its own.
func bucketOf(n int64) int {
	n = min(max(n, 0), 1<<maxBits-1)
	shift := max(bits.Len64(uint64(n))-subBits-1, 0)
	return shift*subBuckets + int(n>>shift)
}

// highest returns the greatest number that is counted in a bucket.
func highest(bucket int) int64 {
	shift := max(bucket/subBuckets-1, 0)
	return int64(bucket-shift*subBuckets+1)<<shift - 1
}

func (h *histogram) add(d int64) {
	h.counts[bucketOf(d)].Add(1)
	for {
		was := h.max.Load()
		if d <= was || h.max.CompareAndSwap(was, d) {
			return
		}
	}
}

// take adds what another has counted.
func (h *histogram) take(other *histogram) {
	for i := range other.counts {
		if n := other.counts[i].Load(); n > 0 {
			h.counts[i].Add(n)
		}
	}
	h.max.Store(max(h.max.Load(), other.max.Load()))
}

// since returns what has been counted since an earlier copy was made.
func (h *histogram) since(earlier *histogram) *histogram {
	d := new(histogram)
	for i := range h.counts {
		d.counts[i].Store(h.counts[i].Load() - earlier.counts[i].Load())
	}
	d.max.Store(h.max.Load())
	return d
}

func (h *histogram) count() (n uint64) {
	for i := range h.counts {
		n += h.counts[i].Load()
	}
	return n
}

// quantile returns a duration that the share q of all do not exceed; 0 of none.
func (h *histogram) quantile(q float64) time.Duration {
	total := h.count()
	if total == 0 {
		return 0
	}
	rank := max(uint64(q*float64(total)+0.5), 1)
	var seen uint64
	for i := range h.counts {
		if seen += h.counts[i].Load(); seen >= rank {
			return time.Duration(min(highest(i), h.max.Load()))
		}
	}
	return time.Duration(h.max.Load())
}

// Latencies are percentiles of a duration, in milliseconds.
type Latencies struct {
	Count uint64  `json:"count"`
	P50   float64 `json:"p50"`
	P90   float64 `json:"p90"`
	P99   float64 `json:"p99"`
	P999  float64 `json:"p999"`
	Max   float64 `json:"max"`
}

func (h *histogram) latencies() Latencies {
	return Latencies{
		Count: h.count(),
		P50:   milliseconds(h.quantile(0.5)), P90: milliseconds(h.quantile(0.9)),
		P99: milliseconds(h.quantile(0.99)), P999: milliseconds(h.quantile(0.999)),
		Max: milliseconds(time.Duration(h.max.Load())),
	}
}

// milliseconds rounds to microseconds.
func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
