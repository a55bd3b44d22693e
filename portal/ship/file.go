package ship

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"postern/portal/audit"
)

// file is JSON Lines on this machine, each batch on the disk before it counts as sent.
type file struct {
	File
	log string
	now func() time.Time
}

func (f *file) Ship(_ context.Context, entries []audit.Filed) error {
	var b bytes.Buffer
	for _, e := range entries {
		line, err := lineOf(f.log, e)
		if err != nil {
			return err
		}
		b.Write(append(line, '\n'))
	}
	return f.append(b.Bytes())
}

func (f *file) Witness(_ context.Context, signed string) error {
	line, err := lineOfCheckpoint(f.log, signed)
	if err != nil {
		return err
	}
	return f.append(append(line, '\n'))
}

func (f *file) append(lines []byte) (err error) {
	out, err := os.OpenFile(f.Path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	end, err := wholeLines(out)
	if err != nil {
		return err
	}
	if end > 0 && end+int64(len(lines)) > int64(f.Size)<<20 {
		if err := f.putAside(); err != nil {
			return err
		}
		return f.append(lines)
	}
	if _, err := out.WriteAt(lines, end); err != nil {
		return err
	}
	return out.Sync()
}

// wholeLines is where the last whole line ends. What follows was being written when the
// program died or the disk was full; it was never counted as sent, and is cut off.
func wholeLines(f *os.File) (int64, error) {
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, err
	}
	buf := make([]byte, 4096)
	for end := size; end > 0; {
		from := max(0, end-int64(len(buf)))
		if _, err := f.ReadAt(buf[:end-from], from); err != nil {
			return 0, err
		}
		if i := bytes.LastIndexByte(buf[:end-from], '\n'); i >= 0 {
			end = from + int64(i) + 1
			if end < size {
				err = f.Truncate(end)
			}
			return end, err
		}
		end = from
	}
	return 0, f.Truncate(0)
}

// aside is the time in the name of a file that was put aside.
const aside = "20060102T150405.000000000Z"

func (f *file) putAside() error {
	ext := filepath.Ext(f.Path)
	stem := strings.TrimSuffix(f.Path, ext)
	name := stem + "-" + f.now().UTC().Format(aside) + ext
	if _, err := os.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is there already", name)
	}
	if err := os.Rename(f.Path, name); err != nil {
		return err
	}
	if f.Keep == 0 {
		return nil
	}
	there, err := os.ReadDir(filepath.Dir(f.Path))
	if err != nil {
		return err
	}
	var old []string
	for _, e := range there {
		stamp, ok := strings.CutPrefix(e.Name(), filepath.Base(stem)+"-")
		if _, err := time.Parse(aside, strings.TrimSuffix(stamp, ext)); ok && err == nil {
			old = append(old, e.Name())
		}
	}
	slices.Sort(old)
	for _, name := range old[:max(0, len(old)-f.Keep)] {
		if err := os.Remove(filepath.Join(filepath.Dir(f.Path), name)); err != nil {
			return err
		}
	}
	return nil
}
