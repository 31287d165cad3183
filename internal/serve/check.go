package serve

import (
	"crypto/ecdsa"
	"crypto/md5"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"station/internal/firmware"
	"station/internal/otaimage"
	"station/internal/release"
	"station/internal/secureboot"
	"station/internal/store"
)

// checkForms checks each stored file of a release against what doc says of it, and fills
// in the SHA-1 and MD5 that some clients ask for.
func (s *Server) checkForms(doc *release.Release) error {
	for i := range doc.Forms {
		if err := s.checkForm(doc, &doc.Forms[i]); err != nil {
			return fmt.Errorf("release %d, %s: %w", doc.ID, doc.Forms[i].Kind, err)
		}
	}
	return nil
}

// checkForm does so for one file.
func (s *Server) checkForm(doc *release.Release, f *release.Form) error {
	content, err := s.Store.Artifact(store.Digest(f.SHA256))
	if err != nil {
		return err
	}
	defer content.Close()
	one, five := sha1.New(), md5.New()
	n, err := io.Copy(io.MultiWriter(one, five), content)
	switch {
	case err != nil:
		return err
	case n != f.Size:
		return fmt.Errorf("it has %d bytes, the release says %d", n, f.Size)
	}
	f.SHA1, f.MD5 = hex.EncodeToString(one.Sum(nil)), hex.EncodeToString(five.Sum(nil))
	if _, err := content.Seek(0, io.SeekStart); err != nil {
		return err
	}
	return s.checkContent(doc, f, content)
}

// checkContent checks that a file is what its kind says, such as an app or a slot
// bundle.
func (s *Server) checkContent(doc *release.Release, f *release.Form, content io.ReadSeeker) error {
	switch f.Kind {
	case release.KindApp:
		return s.checkApp(doc, f, content)
	case release.KindManifest:
		if f.Size != release.ManifestSize {
			return fmt.Errorf("%d bytes, a manifest has %d", f.Size, release.ManifestSize)
		}
	case release.KindEncrypted:
		head, err := io.ReadAll(io.LimitReader(content, otaHead))
		if err != nil {
			return err
		}
		if !otaimage.Is(head) {
			return errors.New("it is no pre-encrypted image")
		}
	case release.KindBundle:
		return s.checkBundle(doc, f, content)
	case release.KindSBOM:
		return checkBOM(content)
	}
	return nil
}

// checkBOM checks that a bill of materials can be read later, when somebody asks which
// releases a vulnerability affects.
func checkBOM(content io.Reader) error {
	bill, err := io.ReadAll(io.LimitReader(content, release.MaxBOM+1))
	switch {
	case err != nil:
		return err
	case len(bill) > release.MaxBOM:
		return fmt.Errorf("a bill of materials has at most %d MB", release.MaxBOM>>20)
	}
	_, err = release.ParseBOM(bill)
	return err
}

const (
	otaHead = 4        // bytes: the magic of a pre-encrypted image
	maxApp  = 16 << 20 // bytes: the largest flash of an ESP32
)

// checkApp checks that the app has the digest, size, version, secure version and chip
// that the release names, and that one of Signers signed it.
func (s *Server) checkApp(doc *release.Release, f *release.Form, content io.Reader) error {
	if doc.App == "" && s.Signers == nil { // the release says nothing of its app
		return nil
	}
	if f.Size > maxApp {
		return fmt.Errorf("an app of %d bytes; no chip has more than %d", f.Size, maxApp)
	}
	app, err := io.ReadAll(content)
	if err != nil {
		return err
	}
	image, err := firmware.ParseImage(app)
	switch {
	case err != nil:
		return err
	case image.App == nil:
		return errors.New("it is no app")
	case doc.App != f.SHA256 || doc.AppSize != f.Size || doc.Version != image.App.Version || doc.SecureVersion != image.App.SecureVersion || doc.Chip != image.ChipID:
		return errors.New("the app says something else than the release: digest, size, version, secure version or chip")
	case doc.AppFilled != "" && doc.AppFilled != release.FilledDigest(app):
		return errors.New("appFilled is not the digest of the app as a line encrypts it")
	}
	if s.Signers == nil {
		return nil
	}
	err = errors.New("nobody may sign apps here")
	for _, key := range s.Signers {
		if _, bad := secureboot.VersionFor(secureboot.ChipOf(app), key); bad != nil {
			continue
		}
		if _, err = secureboot.Verify(app, key); err == nil {
			return nil
		}
	}
	return fmt.Errorf("none of the signers signed it: %w", err)
}

// checkBundle checks that a slot bundle agrees with the release, that its own digests
// are right, and that one of Signers signed it.
func (s *Server) checkBundle(doc *release.Release, f *release.Form, content io.ReadSeeker) error {
	head, err := io.ReadAll(io.LimitReader(content, release.BundleHeaderSize))
	if err != nil {
		return err
	}
	b, err := release.ParseBundle(head)
	if err != nil {
		return err
	}
	if f.Check != hex.EncodeToString(b.Check[:]) {
		return errors.New("its header says something else than the release: check value of the key")
	}
	if err := doc.HasBundle(b); err != nil {
		return err
	}
	if s.Signers != nil {
		var keys []*ecdsa.PublicKey
		for _, key := range s.Signers {
			if p256, is := key.(*ecdsa.PublicKey); is {
				keys = append(keys, p256)
			}
		}
		if err := b.SignedByOne(keys); err != nil {
			return err
		}
	}
	return b.CheckBody(content, f.Size, nil)
}
