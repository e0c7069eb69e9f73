package engineio

import "sync"

// A queue holds what waits to be written to one session. It is empty nearly
// always, and one frame long most of the rest of the time: the first frame lies in
// the queue itself, further ones in a chunk that is lent from a pool, so that
// neither an idle session nor a steady flow allocates.
type queue struct {
	first *Frame
	rest  *chunk
	size  int // bytes of the frames, those written of the first included
	sent  int // bytes of the first frame that are written
}

type chunk struct {
	frames []*Frame
	head   int // frames before it are gone
}

// maxPooledChunk bounds the chunks that go back to the pool, in frames: those
// that a stalled session let grow are left to the collector.
const maxPooledChunk = 256

var chunks = sync.Pool{New: func() any { return &chunk{frames: make([]*Frame, 0, 16)} }}

// len returns the number of frames.
func (q *queue) len() int {
	switch {
	case q.first == nil:
		return 0
	case q.rest == nil:
		return 1
	}
	return 1 + len(q.rest.frames) - q.rest.head
}

// at returns the i-th frame from the front.
func (q *queue) at(i int) *Frame {
	if i == 0 {
		return q.first
	}
	return q.rest.frames[q.rest.head+i-1]
}

// push appends f, unless max bytes or more wait already behind the first frame,
// which is being written. So one frame of any size passes, whatever is before it.
func (q *queue) push(f *Frame, max int) bool {
	if q.first == nil {
		q.first, q.size = f, f.Size()
		return true
	}
	if q.size-q.first.Size() >= max {
		return false
	}
	if q.rest == nil {
		q.rest = chunks.Get().(*chunk)
	}
	q.rest.push(f)
	q.size += f.Size()
	return true
}

func (c *chunk) push(f *Frame) {
	if len(c.frames) == cap(c.frames) && c.head > len(c.frames)/2 {
		n := copy(c.frames, c.frames[c.head:])
		clear(c.frames[n:])
		c.frames, c.head = c.frames[:n], 0
	}
	c.frames = append(c.frames, f)
}

// pop removes the first frame.
func (q *queue) pop() {
	q.size -= q.first.Size()
	q.sent = 0
	q.first = nil
	c := q.rest
	if c == nil {
		return
	}
	q.first = c.frames[c.head]
	c.frames[c.head] = nil
	if c.head++; c.head == len(c.frames) {
		q.rest = nil
		c.release()
	}
}

// clear removes all frames.
func (q *queue) clear() {
	if q.rest != nil {
		clear(q.rest.frames)
		q.rest.release()
	}
	*q = queue{}
}

func (c *chunk) release() {
	if cap(c.frames) <= maxPooledChunk {
		c.frames, c.head = c.frames[:0], 0
		chunks.Put(c)
	}
}

// upToAlone returns how many frames may leave together: all, or those up to the
// first that must be the last of its write.
func (q *queue) upToAlone() int {
	n := q.len()
	for i := range n {
		if q.at(i).alone {
			return i + 1
		}
	}
	return n
}
