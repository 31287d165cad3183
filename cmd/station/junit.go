package main

import (
	"encoding/xml"
	"fmt"
	"io"

	"station/internal/flow"
	"station/internal/plain"
	"station/internal/record"
)

// junit is a run in the form of JUnit's XML, which build servers show: each
// visit of a device is a test case, named by its MAC, in the class of its slot.
// A fault of the station is an error, any other verdict but PASS a failure.
type junit struct {
	name  string // of the job
	cases []junitCase
}

type junitCase struct {
	Class   string        `xml:"classname,attr"`
	Name    string        `xml:"name,attr"`
	Seconds string        `xml:"time,attr"`
	Failure *junitProblem `xml:"failure"`
	Error   *junitProblem `xml:"error"`
	Out     string        `xml:"system-out,omitempty"`
}

type junitProblem struct {
	Type    string `xml:"type,attr"` // the code
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

type junitSuite struct {
	XMLName  xml.Name    `xml:"testsuite"`
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Errors   int         `xml:"errors,attr"`
	Cases    []junitCase `xml:"testcase"`
}

// add takes an event of the line.
func (j *junit) add(e flow.Event) {
	if e.Verdict == "" || e.Slot == "" {
		return
	}
	c := junitCase{Class: j.name + ".slot " + plain.Line(e.Slot), Name: "no MAC", Seconds: fmt.Sprintf("%.3f", e.Seconds)}
	if !e.MAC.IsZero() {
		c.Name = e.MAC.String()
	}
	problem := &junitProblem{string(e.Code), plain.Line(e.Message), plain.Line(string(e.Verdict) + ": " + e.Detail)}
	switch e.Verdict {
	case record.Pass:
		if e.Already {
			c.Out = "sealed before; nothing was done"
		}
	case record.Station:
		c.Error = problem
	default:
		c.Failure = problem
	}
	j.cases = append(j.cases, c)
}

func (j *junit) write(w io.Writer) error {
	s := junitSuite{Name: j.name, Tests: len(j.cases), Cases: j.cases}
	for _, c := range j.cases {
		if c.Failure != nil {
			s.Failures++
		}
		if c.Error != nil {
			s.Errors++
		}
	}
	data, err := xml.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s%s\n", xml.Header, data)
	return err
}
