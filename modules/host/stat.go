package host

import (
	"context"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"orch/modules"
)

// Stat tells everything about a file.
type Stat struct {
	// File, folder or link to look at.
	Path string `orch:"required,path,alias=dest|name"`
	// Look at what a link points to.
	Follow bool
	// Compute a checksum of a regular file.
	GetChecksum bool `orch:"default=true"`
	// Ask file(1) for the MIME type and charset.
	GetMime bool `orch:"default=true,alias=mime|mime_type|mime-type"`
	// Ask lsattr(1) for the attributes.
	GetAttributes bool `orch:"default=true,alias=attr|attributes"`
	// Algorithm of the checksum.
	ChecksumAlgorithm string `orch:"enum=md5|sha1|sha224|sha256|sha384|sha512,default=sha1,alias=checksum|checksum_algo"`
}

// StatOut is the result of stat.
type StatOut struct {
	Stat FileStat `json:"stat"`
}

// FileStat is what stat tells of one file; only Exists when there is none.
type FileStat struct {
	Exists bool `json:"exists"`
	*StatFields
	*StatMime
	*StatAttrs
}

// FileFacts are what stat and find tell of a file.
type FileFacts struct {
	Mode   string  `json:"mode"`
	IsDir  bool    `json:"isdir"`
	IsChr  bool    `json:"ischr"`
	IsBlk  bool    `json:"isblk"`
	IsReg  bool    `json:"isreg"`
	IsFifo bool    `json:"isfifo"`
	IsLnk  bool    `json:"islnk"`
	IsSock bool    `json:"issock"`
	UID    int     `json:"uid"`
	GID    int     `json:"gid"`
	Size   int64   `json:"size"`
	Inode  uint64  `json:"inode"`
	Dev    uint64  `json:"dev"`
	Nlink  uint64  `json:"nlink"`
	Atime  float64 `json:"atime"`
	Mtime  float64 `json:"mtime"`
	Ctime  float64 `json:"ctime"`
	Wusr   bool    `json:"wusr"`
	Rusr   bool    `json:"rusr"`
	Xusr   bool    `json:"xusr"`
	Wgrp   bool    `json:"wgrp"`
	Rgrp   bool    `json:"rgrp"`
	Xgrp   bool    `json:"xgrp"`
	Woth   bool    `json:"woth"`
	Roth   bool    `json:"roth"`
	Xoth   bool    `json:"xoth"`
	IsUID  bool    `json:"isuid"`
	IsGID  bool    `json:"isgid"`
	PwName string  `json:"pw_name,omitempty"`
	GrName string  `json:"gr_name,omitempty"`
}

// StatFields are the facts of a file that exists.
type StatFields struct {
	Path string `json:"path"`
	FileFacts
	Blocks     int64  `json:"blocks"`
	BlockSize  int64  `json:"block_size"`
	DeviceType uint64 `json:"device_type"`
	Readable   bool   `json:"readable"`
	Writeable  bool   `json:"writeable"`
	Executable bool   `json:"executable"`
	LnkSource  string `json:"lnk_source,omitempty"`
	LnkTarget  string `json:"lnk_target,omitempty"`
	Checksum   string `json:"checksum,omitempty"`
}

// StatMime is there when get_mime is on.
type StatMime struct {
	Mimetype string `json:"mimetype"`
	Charset  string `json:"charset"`
}

// StatAttrs is there when get_attributes is on.
type StatAttrs struct {
	Version    *string  `json:"version"`
	Attributes []string `json:"attributes"`
	AttrFlags  string   `json:"attr_flags"`
}

// Plan implements modules.Module.
func (s *Stat) Plan(ctx context.Context, v modules.View) (plan, error) {
	s = clone(s)
	if err := expand(ctx, v, &s.Path); err != nil {
		return plan{}, err
	}
	look := lstat
	if s.Follow {
		look = stat
	}
	fi, err := look(ctx, v, s.Path)
	if err != nil || fi == nil {
		return plan{Out: &StatOut{}}, err
	}
	f := statFields(s.Path, fi)
	if err := s.more(ctx, v, fi, f); err != nil {
		return plan{}, err
	}
	out := &StatOut{FileStat{Exists: true, StatFields: f}}
	if s.GetMime {
		out.Stat.StatMime = mimeOf(ctx, v, s.Path)
	}
	if s.GetAttributes {
		out.Stat.StatAttrs = attrsOf(ctx, v, s.Path)
	}
	return plan{Out: out}, nil
}

func statFields(p string, fi *modules.FileInfo) *StatFields {
	return &StatFields{Path: p, FileFacts: fileFacts(fi), DeviceType: fi.Rdev, Blocks: fi.Blocks, BlockSize: fi.BlkSize}
}

func fileFacts(fi *modules.FileInfo) FileFacts {
	m, bits := fi.Mode, modules.UnixMode(fi.Mode)
	has := func(bit uint32) bool { return bits&bit != 0 }
	return FileFacts{
		Mode: fmt.Sprintf("%04o", bits), UID: fi.UID, GID: fi.GID, Size: fi.Size,
		IsDir: m.IsDir(), IsReg: m.IsRegular(), IsLnk: m&fs.ModeSymlink != 0, IsFifo: m&fs.ModeNamedPipe != 0,
		IsSock: m&fs.ModeSocket != 0, IsChr: m&fs.ModeCharDevice != 0, IsBlk: m&fs.ModeDevice != 0 && m&fs.ModeCharDevice == 0,
		Inode: fi.Inode, Dev: fi.Dev, Nlink: fi.Nlink,
		Atime: seconds(fi.Atime), Mtime: seconds(fi.Mtime), Ctime: seconds(fi.Ctime),
		Rusr: has(0o400), Wusr: has(0o200), Xusr: has(0o100), Rgrp: has(0o40), Wgrp: has(0o20), Xgrp: has(0o10),
		Roth: has(4), Woth: has(2), Xoth: has(1), IsUID: has(0o4000), IsGID: has(0o2000),
	}
}

// names looks up who the file belongs to.
func (f *FileFacts) names(ctx context.Context, v modules.View) {
	if u, err := v.UserID(ctx, f.UID); err == nil {
		f.PwName = u.Name
	}
	if g, err := v.GroupID(ctx, f.GID); err == nil {
		f.GrName = g.Name
	}
}

func seconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixNano()) / 1e9
}

func (s *Stat) more(ctx context.Context, v modules.View, fi *modules.FileInfo, f *StatFields) error {
	target := fi
	if f.IsLnk {
		var err error
		if f.LnkTarget, err = v.Readlink(ctx, s.Path); err != nil {
			return fileFailure(err)
		}
		if f.LnkSource, err = realpath(ctx, v, s.Path); err != nil {
			return err
		}
		if target, err = stat(ctx, v, s.Path); err != nil {
			return err
		}
	}
	if target != nil { // access follows links; a broken one gives no access
		r, w, x, err := access(ctx, v, target)
		if err != nil {
			return err
		}
		f.Readable, f.Writeable, f.Executable = r, w, x
	}
	f.names(ctx, v)
	if f.IsReg && f.Readable && s.GetChecksum {
		sum, err := v.Checksum(ctx, s.Path, s.ChecksumAlgorithm)
		if err != nil {
			return fileFailure(err)
		}
		f.Checksum = sum
	}
	return nil
}

// access is what the module's user may do, by the permission bits.
func access(ctx context.Context, v modules.View, fi *modules.FileInfo) (r, w, x bool, err error) {
	me, err := v.Whoami(ctx)
	if err != nil {
		return false, false, false, err
	}
	bits := modules.UnixMode(fi.Mode)
	switch {
	case me.UID == 0:
		return true, true, fi.Mode.IsDir() || bits&0o111 != 0, nil
	case me.UID == fi.UID:
		bits >>= 6
	case me.GID == fi.GID:
		bits >>= 3
	default:
		out, err := v.Query(ctx, "id", "-G")
		if err == nil && slices.Contains(strings.Fields(out.Stdout), strconv.Itoa(fi.GID)) {
			bits >>= 3
		}
	}
	return bits&4 != 0, bits&2 != 0, bits&1 != 0, nil
}

func mimeOf(ctx context.Context, v modules.View, p string) *StatMime {
	m := &StatMime{Mimetype: "unknown", Charset: "unknown"}
	out, err := v.Query(ctx, "file", "--mime-type", "--mime-encoding", p)
	if err != nil || out.RC != 0 {
		return m // as Ansible: without file(1) both are unknown
	}
	if i := strings.LastIndexByte(out.Stdout, ':'); i >= 0 {
		kind, charset, _ := strings.Cut(out.Stdout[i+1:], ";")
		m.Mimetype = strings.TrimSpace(kind)
		_, m.Charset, _ = strings.Cut(strings.TrimSpace(charset), "=")
	}
	return m
}

// attrNames are the words for the letters of lsattr.
var attrNames = map[rune]string{
	'A': "noatime", 'a': "append", 'c': "compressed", 'C': "nocow", 'd': "nodump", 'D': "dirsync", 'e': "extents",
	'E': "encrypted", 'h': "blocksize", 'i': "immutable", 'I': "indexed", 'j': "journalled", 'N': "inline", 's': "zero",
	'S': "synchronous", 't': "notail", 'T': "blockroot", 'u': "undelete", 'X': "compressedraw", 'Z': "compresseddirty",
}

func attrsOf(ctx context.Context, v modules.View, p string) *StatAttrs {
	a := &StatAttrs{Attributes: []string{}}
	out, err := v.Query(ctx, "lsattr", "-vd", p)
	fields := strings.Fields(out.Stdout)
	if err != nil || out.RC != 0 || len(fields) < 2 {
		return a
	}
	a.Version = &fields[0]
	a.AttrFlags = strings.ReplaceAll(fields[1], "-", "")
	for _, letter := range a.AttrFlags {
		if word := attrNames[letter]; word != "" {
			a.Attributes = append(a.Attributes, word)
		}
	}
	return a
}
