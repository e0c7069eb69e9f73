package sqlite

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/ncruces/go-sqlite3/vfs"
)

// A memoryFile is a file that says how often it was written to, and fails when it is to.
type memoryFile struct {
	vfs.File
	content []byte
	synced  []byte
	writes  int
	fail    error
	closed  bool
}

func (f *memoryFile) WriteAt(p []byte, at int64) (int, error) {
	if f.fail != nil {
		return 0, f.fail
	}
	f.writes++
	if end := int(at) + len(p); end > len(f.content) {
		f.content = append(f.content, make([]byte, end-len(f.content))...)
	}
	return copy(f.content[at:], p), nil
}

func (f *memoryFile) ReadAt(p []byte, at int64) (int, error) {
	if at >= int64(len(f.content)) {
		return 0, io.EOF
	}
	n := copy(p, f.content[at:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memoryFile) Sync(vfs.SyncFlag) error { f.synced = bytes.Clone(f.content); return nil }
func (f *memoryFile) Size() (int64, error)    { return int64(len(f.content)), nil }
func (f *memoryFile) Close() error            { f.closed = true; return nil }

func (f *memoryFile) Truncate(size int64) error {
	f.content = f.content[:min(int(size), len(f.content))]
	return nil
}

// Whatever is done to it, a joined file reads as one that is not.
func TestAJoinedFileIsAsAnyOther(t *testing.T) {
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 1))
		plain, under := &memoryFile{}, &memoryFile{}
		joined := &joinedFile{File: under}
		end := int64(0)
		for range 300 {
			switch random.IntN(12) {
			case 0:
				at, n := random.Int64N(end+10), random.IntN(100)
				a, b := make([]byte, n), make([]byte, n)
				na, errA := plain.ReadAt(a, at)
				nb, errB := joined.ReadAt(b, at)
				if na != nb || !errors.Is(errB, errA) || !bytes.Equal(a, b) {
					t.Fatalf("seed %d: read %d bytes, %v; want %d, %v", seed, nb, errB, na, errA)
				}
			case 1:
				if err := joined.Sync(0); err != nil || !bytes.Equal(under.synced, plain.content) {
					t.Fatalf("seed %d: %d bytes are durable, %v; want %d", seed, len(under.synced), err, len(plain.content))
				}
			case 2:
				got, err := joined.Size()
				if want, _ := plain.Size(); err != nil || got != want {
					t.Fatalf("seed %d: its size is %d, %v; want %d", seed, got, err, want)
				}
			case 3:
				end = random.Int64N(end + 1)
				plain.Truncate(end)
				if err := joined.Truncate(end); err != nil {
					t.Fatal(err)
				}
			default:
				at := end
				if random.IntN(5) == 0 {
					at = random.Int64N(end + 1)
				}
				p := make([]byte, 1+random.IntN(200))
				if random.IntN(1000) == 0 {
					p = make([]byte, maxJoined+1)
				}
				for i := range p {
					p[i] = byte(random.Uint32())
				}
				plain.WriteAt(p, at)
				if n, err := joined.WriteAt(p, at); n != len(p) || err != nil {
					t.Fatalf("seed %d: wrote %d, %v", seed, n, err)
				}
				end = max(end, at+int64(len(p)))
			}
		}
		if err := joined.Close(); err != nil || !under.closed || !bytes.Equal(under.content, plain.content) {
			t.Fatalf("seed %d: closed with %d bytes, %v; want %d", seed, len(under.content), err, len(plain.content))
		}
		if under.writes >= plain.writes {
			t.Errorf("seed %d: %d writes became %d", seed, plain.writes, under.writes)
		}
	}
}

func TestWhatCannotBeWrittenIsNotSynced(t *testing.T) {
	under := &memoryFile{}
	joined := &joinedFile{File: under}
	joined.WriteAt([]byte("before"), 0)
	if err := joined.Sync(0); err != nil {
		t.Fatal(err)
	}
	under.fail = errors.New("the disk is full")
	if _, err := joined.WriteAt([]byte("lost"), 6); err != nil {
		t.Errorf("it is written at once: %v", err)
	}
	if err := joined.Sync(0); !errors.Is(err, under.fail) {
		t.Errorf("Sync says %v", err)
	}
	under.fail = nil
	if err := joined.Sync(0); err != nil || string(under.synced) != "before" {
		t.Errorf("durable is %q, %v", under.synced, err)
	}
}
