package sqlite

import (
	"errors"

	"github.com/ncruces/go-sqlite3/vfs"
)

// joinedWAL is the name of a virtual file system of SQLite that is the system's own, but for the write-ahead log:
// what is appended to that one piece after the other is written in one call. SQLite writes each page in
// two pieces, so that a transaction of 30 pages took 60 calls, as long as to make it durable.
const joinedWAL = "belfry-joined-wal"

func init() {
	vfs.Register(joinedWAL, joinedVFS{vfs.Find("").(vfs.VFSFilename)})
}

type joinedVFS struct{ vfs.VFSFilename }

// Open implements [vfs.VFS].
func (v joinedVFS) Open(name string, flags vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
	return v.join(v.VFSFilename.Open(name, flags))
}

// OpenFilename implements [vfs.VFSFilename].
func (v joinedVFS) OpenFilename(name *vfs.Filename, flags vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
	return v.join(v.VFSFilename.OpenFilename(name, flags))
}

func (joinedVFS) join(file vfs.File, flags vfs.OpenFlag, err error) (vfs.File, vfs.OpenFlag, error) {
	if err == nil && flags&vfs.OPEN_WAL != 0 {
		file = &joinedFile{File: file}
	}
	return file, flags, err
}

// maxJoined bounds what is kept of a file.
const maxJoined = 512 << 10

// A joinedFile keeps what is appended until anything else is asked of the file. Other connections read
// a transaction only when the index of the log names it, which with synchronous=full SQLite writes after Sync (WAL-mode File Format,
// "The WAL-Index File Format"). An error that writing gives comes with the next call, which for a transaction is
// Sync at the latest: then it has failed.
type joinedFile struct {
	vfs.File
	kept []byte
	at   int64 // where kept belongs
}

// WriteAt implements [vfs.File].
func (f *joinedFile) WriteAt(p []byte, at int64) (int, error) {
	if len(f.kept) > 0 && (at != f.at+int64(len(f.kept)) || len(f.kept)+len(p) > maxJoined) {
		if err := f.flush(); err != nil {
			return 0, err
		}
	}
	if len(f.kept) == 0 {
		f.at = at
	}
	f.kept = append(f.kept, p...)
	return len(p), nil
}

// flush writes what is kept. What cannot be written is forgotten, as by the system.
func (f *joinedFile) flush() error {
	if len(f.kept) == 0 {
		return nil
	}
	_, err := f.File.WriteAt(f.kept, f.at)
	f.kept = f.kept[:0]
	return err
}

// ReadAt implements [vfs.File].
func (f *joinedFile) ReadAt(p []byte, at int64) (int, error) {
	if err := f.flush(); err != nil {
		return 0, err
	}
	return f.File.ReadAt(p, at)
}

// Sync implements [vfs.File].
func (f *joinedFile) Sync(flags vfs.SyncFlag) error {
	if err := f.flush(); err != nil {
		return err
	}
	return f.File.Sync(flags)
}

// Truncate implements [vfs.File].
func (f *joinedFile) Truncate(size int64) error {
	if err := f.flush(); err != nil {
		return err
	}
	return f.File.Truncate(size)
}

// Size implements [vfs.File].
func (f *joinedFile) Size() (int64, error) {
	if err := f.flush(); err != nil {
		return 0, err
	}
	return f.File.Size()
}

// Close implements [vfs.File].
func (f *joinedFile) Close() error {
	return errors.Join(f.flush(), f.File.Close())
}
