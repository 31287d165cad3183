package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"reflect"

	"github.com/spf13/cobra"
)

// answers are the objects that commands print with --json, by the name and
// version of their schema: docs/schema/NAME.json, listed in docs/json.md. A member
// that goes away or means something else makes a new version.
var answers = map[string]any{
	"affected/1":          affectedAnswer{},
	"batch/1":             batchAnswer{},
	"batches/1":           batchesAnswer{},
	"bundle-check/1":      bundleVerdict{},
	"chips/1":             chipsAnswer{},
	"devices/1":           devicesAnswer{},
	"doctor/1":            doctorAnswer{},
	"history/1":           historyAnswer{},
	"hsm-status/1":        statusAnswer{},
	"identity/1":          identityAnswer{},
	"image/1":             imageAnswer{},
	"job/1":               jobAnswer{},
	"key/1":               keyAnswer{},
	"keys/1":              keysAnswer{},
	"ledger-check/1":      checkAnswer{},
	"ledger-verify/1":     verifyAnswer{},
	"ports/1":             portsAnswer{},
	"probe/1":             probeAnswer{},
	"release/1":           releaseAnswer{},
	"releases/1":          releasesAnswer{},
	"rollouts/1":          rolloutsAnswer{},
	"site-affected/1":     siteAffectedAnswer{},
	"site-batch/1":        siteBatchAnswer{},
	"site-batches/1":      siteBatchesAnswer{},
	"site-bench/1":        siteBenchAnswer{},
	"site-benches/1":      siteBenchesAnswer{},
	"site-device/1":       siteDeviceAnswer{},
	"site-readers/1":      siteReadersAnswer{},
	"site-verify/1":       siteVerifyAnswer{},
	"verified-identity/1": identityVerdict{},
	"verified-image/1":    imageVerdict{},
}

// schemaOf is the name under which v is printed.
func schemaOf(v any) string {
	for name, kind := range answers {
		if reflect.TypeOf(kind) == reflect.TypeOf(v) {
			return name
		}
	}
	panic(fmt.Sprintf("%T is no answer", v)) // a fault of this program
}

// jsonFlag adds --json to a command that answers for programs too.
func jsonFlag(cmd *cobra.Command) *bool {
	return cmd.Flags().Bool("json", false, "as one JSON object (docs/json.md)")
}

// answer prints v as one JSON object that names its schema first.
func answer(w io.Writer, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	head := fmt.Sprintf(`{"schema":%q`, schemaOf(v))
	if rest := data[1:]; rest[0] == '}' {
		data = append([]byte(head), rest...)
	} else {
		data = append([]byte(head+","), rest...)
	}
	var out bytes.Buffer
	if err := json.Indent(&out, data, "", "  "); err != nil {
		return err
	}
	out.WriteByte('\n')
	_, err = w.Write(out.Bytes())
	return err
}

// answerRows prints the object of a schema whose one member is a list, row by
// row: of a large ledger not all is in memory. v is an empty one of the schema.
func answerRows[T any](w io.Writer, v any, member string, rows iter.Seq2[T, error]) error {
	if _, err := fmt.Fprintf(w, "{\n  \"schema\": %q,\n  %q: [", schemaOf(v), member); err != nil {
		return err
	}
	between := "\n    "
	for row, err := range rows {
		if err != nil {
			return err
		}
		data, err := json.Marshal(row)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(w, "%s%s", between, data); err != nil {
			return err
		}
		between = ",\n    "
	}
	_, err := fmt.Fprint(w, "\n  ]\n}\n")
	return err
}
