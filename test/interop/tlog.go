// Checks a log's folder, and proofs made from it, with Go's own implementation of transparency logs.
// It reads what to check as JSON, and says on its last line what it checked.
package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const height = 8

type order struct {
	Directory string
	Verifier  string
	Cosigned  string
	Witness   struct {
		Name string
		Key  []byte
	}
	Records []struct {
		Size, Index int64
		Proof       [][]byte
	}
	Trees []struct {
		From, To int64
		Proof    [][]byte
	}
}

// cosigner verifies a witness's signature: C2SP tlog-cosignature, cosignature/v1.
type cosigner struct {
	name string
	key  ed25519.PublicKey
}

func (c cosigner) Name() string { return c.name }

func (c cosigner) KeyHash() uint32 {
	sum := sha256.Sum256(append([]byte(c.name+"\n\x04"), c.key...))
	return binary.BigEndian.Uint32(sum[:])
}

func (c cosigner) Verify(msg, sig []byte) bool {
	if len(sig) != 8+ed25519.SignatureSize {
		return false
	}
	signed := fmt.Sprintf("cosignature/v1\ntime %d\n%s", binary.BigEndian.Uint64(sig), msg)
	return ed25519.Verify(c.key, []byte(signed), sig[8:])
}

func check(err error, what string) {
	if err != nil {
		log.Fatalf("%s: %v", what, err)
	}
}

// path is where a tile lies by C2SP tlog-tiles, which leaves out the height that tlog's own paths begin with.
func path(t tlog.Tile) string {
	return strings.Replace(t.Path(), fmt.Sprintf("tile/%d/", height), "tile/", 1)
}

func hashes(proof [][]byte) []tlog.Hash {
	list := make([]tlog.Hash, len(proof))
	for i, hash := range proof {
		if copy(list[i][:], hash) != tlog.HashSize || len(hash) != tlog.HashSize {
			log.Fatal("a hash of a proof does not have 32 bytes")
		}
	}
	return list
}

// entries reads the bundles in their order, each entry behind its length, the last of them where it is published as partial.
func entries(directory string, size int64) [][]byte {
	var list [][]byte
	for int64(len(list)) < size {
		t := tlog.Tile{H: height, L: -1, N: int64(len(list)) >> height, W: 1 << height}
		if rest := size - int64(len(list)); rest < 1<<height {
			t.W = int(rest)
		}
		data, err := os.ReadFile(filepath.Join(directory, strings.Replace(path(t), "/data/", "/entries/", 1)))
		check(err, "entries")
		for len(data) > 0 {
			length := int(binary.BigEndian.Uint16(data))
			list = append(list, data[2:2+length])
			data = data[2+length:]
		}
	}
	return list
}

// tiles reads the log's own tiles for tlog, which authenticates them by the root.
type tiles struct{ directory string }

func (tiles) Height() int                         { return height }
func (tiles) SaveTiles(_ []tlog.Tile, _ [][]byte) {}
func (r tiles) ReadTiles(list []tlog.Tile) ([][]byte, error) {
	data := make([][]byte, len(list))
	for i, t := range list {
		var err error
		if data[i], err = os.ReadFile(filepath.Join(r.directory, path(t))); err != nil {
			return nil, err
		}
	}
	return data, nil
}

func main() {
	log.SetFlags(0)
	var o order
	check(json.NewDecoder(os.Stdin).Decode(&o), "order")

	verifier, err := note.NewVerifier(o.Verifier)
	check(err, "verifier key")
	signed, err := os.ReadFile(filepath.Join(o.Directory, "checkpoint"))
	check(err, "checkpoint")
	opened, err := note.Open(signed, note.VerifierList(verifier))
	check(err, "checkpoint")
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 || lines[0] != verifier.Name() {
		log.Fatal("the checkpoint does not have three lines under its key's name")
	}
	var size int64
	_, err = fmt.Sscan(lines[1], &size)
	check(err, "size")
	root, err := tlog.ParseHash(lines[2])
	check(err, "root")

	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		list := make([]tlog.Hash, len(indexes))
		for i, index := range indexes {
			list[i] = stored[index]
		}
		return list, nil
	})
	records := entries(o.Directory, size)
	for n, entry := range records {
		more, err := tlog.StoredHashes(int64(n), entry, reader)
		check(err, "leaf")
		stored = append(stored, more...)
	}
	rootOf := func(size int64) tlog.Hash {
		hash, err := tlog.TreeHash(size, reader)
		check(err, "tree")
		return hash
	}
	if rootOf(size) != root {
		log.Fatal("the entries do not give the root of the checkpoint")
	}

	// NewTiles names every width that a tile may have been published with; at its end a log has the last of them.
	var published []tlog.Tile
	for _, t := range tlog.NewTiles(height, 0, size) {
		if last := len(published) - 1; last >= 0 && published[last].L == t.L && published[last].N == t.N {
			published[last] = t
		} else {
			published = append(published, t)
		}
	}
	for _, t := range published {
		due, err := tlog.ReadTileData(t, reader)
		check(err, "tile")
		found, err := os.ReadFile(filepath.Join(o.Directory, path(t)))
		check(err, "tile")
		if !bytes.Equal(due, found) {
			log.Fatalf("%s is not what the entries give", path(t))
		}
	}
	byTiles := tlog.TileHashReader(tlog.Tree{N: size, Hash: root}, tiles{o.Directory})
	for n, entry := range records {
		leaf, err := byTiles.ReadHashes([]int64{tlog.StoredHashIndex(0, int64(n))})
		check(err, "tiles")
		if leaf[0] != tlog.RecordHash(entry) {
			log.Fatalf("the tiles have another hash for entry %d", n)
		}
	}

	for _, p := range o.Records {
		err := tlog.CheckRecord(hashes(p.Proof), p.Size, rootOf(p.Size), p.Index, tlog.RecordHash(records[p.Index]))
		check(err, fmt.Sprintf("entry %d of %d", p.Index, p.Size))
	}
	for _, p := range o.Trees {
		err := tlog.CheckTree(hashes(p.Proof), p.To, rootOf(p.To), p.From, rootOf(p.From))
		check(err, fmt.Sprintf("%d entries of %d", p.From, p.To))
	}

	witness := cosigner{o.Witness.Name, o.Witness.Key}
	both, err := note.Open([]byte(o.Cosigned), note.VerifierList(verifier, witness))
	check(err, "cosigned")
	if len(both.Sigs) != 2 {
		log.Fatalf("%d of the two signatures are good", len(both.Sigs))
	}
	fmt.Printf("%d entries, %d tiles, %d records, %d trees\n", size, len(published), len(o.Records), len(o.Trees))
}
