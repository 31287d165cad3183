package serve

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"station/internal/release"
	"station/internal/store"
)

// This file is the door for hawkBit clients: the Direct Device Integration (DDI) API v1
// of Eclipse hawkBit. Its controllerId is the device's MAC, its action and its software
// module both have the number of the release, and any tenant is accepted.

type link struct {
	Href string `json:"href"`
}

type links map[string]link

// ddiBase is the answer to a poll.
type ddiBase struct {
	Config struct {
		Polling struct {
			Sleep string `json:"sleep"`
		} `json:"polling"`
	} `json:"config"`
	Links links `json:"_links"`
}

// ddiDeployment is the description of an offered release.
type ddiDeployment struct {
	ID         string `json:"id"`
	Deployment struct {
		Download string     `json:"download"`
		Update   string     `json:"update"`
		Chunks   []ddiChunk `json:"chunks"`
	} `json:"deployment"`
}

// ddiChunk is the release as a software module of the DDI.
type ddiChunk struct {
	Part      string        `json:"part"`
	Version   string        `json:"version"`
	Name      string        `json:"name"`
	Artifacts []ddiArtifact `json:"artifacts"`
}

// ddiArtifact is a file of the release.
type ddiArtifact struct {
	Filename string            `json:"filename"`
	Hashes   map[string]string `json:"hashes"`
	Size     int64             `json:"size"`
	Links    links             `json:"_links"`
}

// home is the base URL of the device's DDI resources, with the host and the tenant that
// the device used in its request.
func home(v *visit) string {
	return fmt.Sprintf("https://%s/%s/controller/v1/%s", v.ask.Host, v.ask.PathValue("tenant"), v.ask.PathValue("device"))
}

// ddiPoll answers a poll: how long to wait until the next one, and links to an update to
// install, an update to cancel or attributes to send, where there is any.
func (s *Server) ddiPoll(v *visit) {
	s.counts.polls.Add(1)
	var base ddiBase
	base.Config.Polling.Sleep = clock(cmp.Or(s.Poll, DefaultPoll))
	base.Links = links{}
	if v.state.Attributes == nil {
		base.Links["configData"] = link{home(v) + "/configData"}
	}
	r, err := s.offer(v)
	switch {
	case err != nil:
		s.fail(v, v.ask, err)
		return
	case r != nil:
		base.Links["deploymentBase"] = link{fmt.Sprintf("%s/deploymentBase/%d", home(v), r.ID)}
	case v.lapsed != 0:
		base.Links["cancelAction"] = link{fmt.Sprintf("%s/cancelAction/%d", home(v), v.lapsed)}
	}
	s.json(v, base)
}

// clock writes a duration as the DDI does: HH:MM:SS.
func clock(d time.Duration) string {
	n := int(d.Round(time.Second).Seconds())
	return fmt.Sprintf("%02d:%02d:%02d", n/3600, n/60%60, n%60)
}

// action is the release whose number is the path value called part, if it is the one
// that the device is offered now. Else it answers the request and returns nil.
func (s *Server) action(v *visit, part string) *release.Release {
	r, err := s.offer(v)
	id, bad := release.ParseID(v.ask.PathValue(part))
	switch {
	case err != nil:
		s.fail(v, v.ask, err)
	case bad != nil || r == nil || r.ID != id:
		notFound(v)
	default:
		return r
	}
	return nil
}

// ddiDeployment describes the offered release and its files.
func (s *Server) ddiDeployment(v *visit) {
	r := s.action(v, "action")
	if r == nil {
		return
	}
	var d ddiDeployment
	d.ID = fmt.Sprint(r.ID)
	d.Deployment.Download, d.Deployment.Update = "forced", "forced"
	d.Deployment.Chunks = []ddiChunk{{Part: "os", Version: cmp.Or(r.Version, d.ID), Name: r.Name, Artifacts: artifacts(v, r)}}
	s.json(v, d)
}

// ddiArtifacts lists the files of the offered release.
func (s *Server) ddiArtifacts(v *visit) {
	if r := s.action(v, "module"); r != nil {
		s.json(v, artifacts(v, r))
	}
}

// artifacts are the files of the release that the device can use, and its manifest.
func artifacts(v *visit, r *release.Release) []ddiArtifact {
	list := []ddiArtifact{}
	forms := r.For(v.device)
	if f, ok := r.Form(release.KindManifest); ok {
		forms = append(slices.Clip(forms), f)
	}
	for _, f := range forms {
		href := fmt.Sprintf("%s/softwaremodules/%d/artifacts/%s", home(v), r.ID, release.Files[f.Kind])
		list = append(list, ddiArtifact{
			Filename: release.Files[f.Kind], Size: f.Size, Links: links{"download": {href}},
			Hashes: map[string]string{"sha1": f.SHA1, "md5": f.MD5, "sha256": store.Digest(f.SHA256).Hex()},
		})
	}
	return list
}

// ddiFile sends one file of the offered release.
func (s *Server) ddiFile(v *visit) {
	r := s.action(v, "module")
	if r == nil {
		return
	}
	kind, ok := release.KindOf(v.ask.PathValue("file"))
	if !ok {
		notFound(v)
		return
	}
	s.giveForm(v, r, kind)
}

// ddiSaid is the body of a device's feedback on an action.
type ddiSaid struct {
	Status struct {
		Execution string `json:"execution"`
		Result    struct {
			Finished string `json:"finished"`
		} `json:"result"`
		Details []string `json:"details"`
	} `json:"status"`
}

// The values that the DDI has for status.execution and status.result.finished.
var (
	ddiExecutions = []string{"closed", "proceeding", "canceled", "scheduled", "rejected", "resumed", "download", "downloaded"}
	ddiEnds       = []string{success, failure, "none"}
)

// ddiRead reads a device's feedback on an action. Where ok is false the request has been
// answered already: the device was never offered that release, or the body is wrong.
func (s *Server) ddiRead(v *visit) (id int64, said ddiSaid, ok bool) {
	id, err := release.ParseID(v.ask.PathValue("action"))
	if err != nil || !v.state.knows(id) {
		notFound(v)
		return 0, said, false
	}
	if !s.body(v, &said) {
		return 0, said, false
	}
	switch execution := said.Status.Execution; {
	case !slices.Contains(ddiExecutions, execution):
		http.Error(v, "want a status with its execution: "+strings.Join(ddiExecutions, ", "), http.StatusBadRequest)
	case execution == "closed" && !slices.Contains(ddiEnds, said.Status.Result.Finished):
		http.Error(v, "want a status that is closed with its result: "+strings.Join(ddiEnds, ", "), http.StatusBadRequest)
	default:
		return id, said, true
	}
	return 0, said, false
}

// ddiFeedback takes a device's feedback on an update. Only the end of the update is
// recorded. As in hawkBit, "closed" with the result "none" is a success, and "rejected"
// is not an end: the device may install the update later.
func (s *Server) ddiFeedback(v *visit) {
	id, said, ok := s.ddiRead(v)
	if !ok {
		return
	}
	var err error
	details := short(strings.Join(said.Status.Details, "; "))
	switch execution := said.Status.Execution; {
	case execution == "closed" && said.Status.Result.Finished == failure:
		err = s.result(v, id, failure, details)
	case execution == "closed":
		err = s.result(v, id, success, details)
	case execution == "canceled":
		err = s.result(v, id, cancelled, details)
	}
	s.done(v, err)
}

// ddiCancel tells the device to cancel an update that it was offered before and may not
// install any more.
func (s *Server) ddiCancel(v *visit) {
	if _, err := s.choose(v); err != nil {
		s.fail(v, v.ask, err)
		return
	}
	id, err := release.ParseID(v.ask.PathValue("action"))
	if err != nil || v.lapsed != id {
		notFound(v)
		return
	}
	text := fmt.Sprint(id)
	s.json(v, map[string]any{"id": text, "cancelAction": map[string]string{"stopId": text}})
}

// ddiCancelled takes the device's feedback that it has cancelled an update.
func (s *Server) ddiCancelled(v *visit) {
	id, said, ok := s.ddiRead(v)
	if !ok {
		return
	}
	var err error
	if said.Status.Execution == "closed" || said.Status.Execution == "canceled" {
		err = s.result(v, id, cancelled, short(strings.Join(said.Status.Details, "; ")))
	}
	s.done(v, err)
}

// Limits of the attributes that a device sends.
const (
	maxAttributes = 64  // how many
	maxAttribute  = 256 // bytes of a name or a value
)

// ddiConfig stores the attributes that a device sends (configData).
func (s *Server) ddiConfig(v *visit) {
	var said struct {
		Mode string            `json:"mode"`
		Data map[string]string `json:"data"`
	}
	if !s.body(v, &said) {
		return
	}
	for name, value := range said.Data {
		if len(said.Data) > maxAttributes || len(name) > maxAttribute || len(value) > maxAttribute {
			http.Error(v, "too many attributes, or too long ones", http.StatusRequestEntityTooLarge)
			return
		}
	}
	after := state{Attributes: maps.Clone(v.state.Attributes)}
	if after.attribute(said.Mode, said.Data); v.state.Attributes != nil && maps.Equal(after.Attributes, v.state.Attributes) {
		s.done(v, nil) // nothing new
		return
	}
	s.done(v, s.change(v.device.MAC, &v.state, func(st *state) { st.attribute(said.Mode, said.Data) }))
}

// attribute merges, replaces or removes attributes, by the DDI's mode. What is more than
// maxAttributes is dropped.
func (st *state) attribute(mode string, data map[string]string) {
	if st.Attributes == nil || mode == "replace" {
		st.Attributes = map[string]string{}
	}
	for name, value := range data {
		if mode == "remove" {
			delete(st.Attributes, name)
		} else if len(st.Attributes) < maxAttributes {
			st.Attributes[name] = value
		}
	}
}
