package record

import "slices"

// hasVersion3 tells whether an entry has what version 2 had no field for. All else
// of version 2 is as it was, so that its entries have the form of now without that.
func (e *Entry) hasVersion3() bool {
	return slices.ContainsFunc(e.Images, func(i Image) bool { return i.SecureVersion != nil || i.File != "" })
}
