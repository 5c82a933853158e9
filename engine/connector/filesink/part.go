package filesink

import (
	"bufio"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
)

// bufferSize is how much of a part waits in memory, in bytes.
const bufferSize = 64 << 10

// part is a file from its first record until it is visible.
type part struct {
	id       Part
	open     string // name while it is written, in .pending
	file     *os.File
	buf      *bufio.Writer
	disk     *disk
	bytes    int64  // handed to the file system
	crc      uint32 // of those
	prepared bool   // has its id
	durable  bool   // under its pending name
}

func (d *disk) newPart(id Part) (*part, error) {
	p := &part{id: id, disk: d, open: pendingDir + "/" + id.openName()}
	f, err := d.create(p.open)
	if err != nil {
		return nil, fmt.Errorf("filesink: %s: %w", d.dir, err)
	}
	p.file = f
	p.buf = bufio.NewWriterSize(writerFunc(p.write), bufferSize)
	return p, nil
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// write passes a full buffer on and keeps length and checksum.
func (p *part) write(b []byte) (int, error) {
	if err := p.disk.before(step{op: "write", name: p.open}); err != nil {
		return 0, err
	}
	n, err := p.file.Write(b)
	p.bytes += int64(n)
	p.crc = crc32.Update(p.crc, castagnoli, b[:n])
	return n, err
}

// size is the length that the file will have, in bytes.
func (p *part) size() int64 { return p.bytes + int64(p.buf.Buffered()) }

// settle makes the content durable and gives the part its pending name. The
// caller fsyncs the folder. After an error the part is lost: what a failed
// fsync leaves behind is unknown, so it is not tried again.
func (p *part) settle() error {
	err := p.buf.Flush()
	if err == nil {
		err = p.disk.before(step{op: "sync", name: p.open})
	}
	if err == nil && p.disk.hook == nil {
		err = p.file.Sync()
	}
	if err = errors.Join(err, p.file.Close()); err == nil {
		err = p.disk.rename(p.open, pendingDir+"/"+p.id.Name())
	}
	p.file, p.buf = nil, nil
	if err != nil {
		return fmt.Errorf("filesink: %s: making %s durable: %w", p.disk.dir, p.open, err)
	}
	return nil
}

// abandon closes the file of a part that will not be published. The file stays
// for the next recovery to remove.
func (p *part) abandon() {
	if p.file != nil {
		p.file.Close()
		p.file, p.buf = nil, nil
	}
}

func (p *part) item() Item {
	return Item{Name: p.id.Name(), ID: p.id.ID, Bytes: p.bytes, CRC: p.crc, Dir: p.disk.dir}
}
