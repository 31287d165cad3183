package store

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"station/internal/keyfile"
)

func (s *Store) artifact(d Digest) string {
	return filepath.Join(s.dir, "artifacts", d.Hex()[:2], d.Hex())
}

// Artifact opens an artifact. What is in it was right when it came.
func (s *Store) Artifact(d Digest) (io.ReadSeekCloser, error) {
	if _, err := ParseDigest(string(d)); err != nil {
		return nil, err
	}
	f, err := os.Open(s.artifact(d))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("artifact %s: %w", d, ErrNotFound)
	}
	if err != nil {
		return nil, err
	}
	return f, nil
}

// Has tells whether the artifact is there. Who asks is about to use it: Sweep leaves it alone
// from now on as if it were new.
func (s *Store) Has(d Digest) bool {
	now := time.Now()
	return os.Chtimes(s.artifact(d), now, now) == nil
}

// Put takes an artifact of at most so many bytes. It is there, whole, or not at all.
func (s *Store) Put(r io.Reader, most int64) (d Digest, size int64, err error) {
	return s.take(r, most, "")
}

// take is Put for bytes of a digest; "" is whatever comes.
func (s *Store) take(r io.Reader, most int64, want Digest) (d Digest, size int64, err error) {
	err = keyfile.ByContent(filepath.Join(s.dir, "incoming"), artifactMode, func(w io.Writer) (path string, err error) {
		h := sha256.New()
		size, err = io.Copy(io.MultiWriter(w, h), io.LimitReader(r, most+1))
		if err == nil && size > most {
			err = fmt.Errorf("%w: more than %d bytes", ErrTooLarge, most)
		}
		if d = DigestOf(h.Sum(nil)); err == nil && want != "" && d != want {
			err = ErrDigest
		}
		if err == nil {
			path, err = s.pathFor(d)
		}
		return path, err
	})
	if err != nil {
		return "", 0, fmt.Errorf("artifact: %w", err)
	}
	return d, size, nil
}

const artifactMode = 0o640

// pathFor is the path of an artifact, whose folder is there then.
func (s *Store) pathFor(d Digest) (path string, err error) {
	path = s.artifact(d)
	if err = os.MkdirAll(filepath.Dir(path), 0o750); err == nil {
		err = keyfile.SyncFolder(filepath.Dir(path))
	}
	return path, err
}

// Incoming is how many bytes of an artifact have come so far.
func (s *Store) Incoming(d Digest) (int64, error) {
	if _, err := ParseDigest(string(d)); err != nil {
		return 0, err
	}
	info, err := os.Stat(filepath.Join(s.dir, "incoming", d.Hex()))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// Resume takes the next part of an artifact of total bytes, which begins at
// offset; what came of a part that broke off stays. It tells how much is here,
// and with the last byte the artifact is there, or everything of it is gone
// (ErrDigest). Of a part with more bytes than that nothing stays (ErrLength).
func (s *Store) Resume(d Digest, offset, total int64, r io.Reader) (have int64, err error) {
	if _, err := ParseDigest(string(d)); err != nil {
		return 0, err
	}
	f, err := os.OpenFile(filepath.Join(s.dir, "incoming", d.Hex()), os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return 0, fmt.Errorf("artifact %s: %w", d, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	if have = info.Size(); have != offset || offset > total {
		return have, fmt.Errorf("artifact %s: at %d of %d: %w", d, offset, total, ErrOffset)
	}
	n, err := io.Copy(io.NewOffsetWriter(f, offset), io.LimitReader(r, total-offset))
	have += n
	if err != nil || have < total {
		return have, err
	}
	if more, err := io.CopyN(io.Discard, r, 1); more > 0 {
		return offset, errors.Join(fmt.Errorf("artifact %s: %w", d, ErrLength), back(f, offset))
	} else if !errors.Is(err, io.EOF) {
		return have, err
	}
	return have, s.finish(f, d, total)
}

// finish publishes a copy of what has come, if it is what was announced: into what has come, another
// upload of the same artifact may still write.
func (s *Store) finish(f *os.File, d Digest, total int64) error {
	_, _, err := s.take(io.NewSectionReader(f, 0, total), total, d)
	if err == nil || errors.Is(err, ErrDigest) {
		err = errors.Join(err, gone(f.Name()))
	}
	return err
}

// back takes back what came behind offset.
func back(f *os.File, offset int64) error {
	if offset == 0 {
		return gone(f.Name())
	}
	return f.Truncate(offset)
}

// gone removes a file, which another may have removed meanwhile.
func gone(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
