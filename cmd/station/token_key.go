package main

import (
	"context"
	"crypto"
	"errors"
	"fmt"

	"station/internal/hsm"
	"station/internal/station"
)

// tokenKey is the public half of a key that a job names by its PKCS#11 URI, read
// once. A URI without a module means the station's own token. Errors do not
// repeat the URI.
func (o *options) tokenKey(name string) (crypto.PublicKey, error) {
	if key, read := o.publicKeys[name]; read {
		return key, nil
	}
	uri, err := hsm.ParseURI(name)
	switch {
	case err != nil:
		return nil, err
	case uri.Object == "":
		return nil, errors.New("the URI names no key; add object=LABEL")
	}
	at := name
	if uri.ModulePath+uri.ModuleName == "" {
		if at, err = o.ownToken(uri); err != nil {
			return nil, err
		}
	}
	token, err := o.openNamed(at)
	if err != nil {
		return nil, err
	}
	defer token.Close()
	key, err := token.Show(context.Background(), uri.Object)
	switch {
	case err != nil:
		return nil, station.TokenFailure(err)
	case key.Public == nil:
		return nil, fmt.Errorf("%q is a %s; it has no public half", uri.Object, key.Type)
	}
	if o.publicKeys == nil {
		o.publicKeys = map[string]crypto.PublicKey{}
	}
	o.publicKeys[name] = key.Public
	return key.Public, nil
}

// ownToken is the URI of the station's token, if it is the one that is meant.
func (o *options) ownToken(uri hsm.URI) (string, error) {
	file, err := station.LoadFile(o.station)
	if err != nil {
		return "", fmt.Errorf("the URI names no module, which means the station's own token: %w", err)
	}
	ofStation, err := hsm.ParseURI(file.TokenURI())
	if err == nil && (uri.Token != "" && ofStation.Token != uri.Token || uri.Serial != "" && ofStation.Serial != "" && ofStation.Serial != uri.Serial) {
		err = errors.New("the URI names another token than the station's; add its module-path")
	}
	return file.TokenURI(), err
}
