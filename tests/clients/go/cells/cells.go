// Package cells is what the Go client programs of the matrix share: running the cells and reporting them on stdout as
//
//	CELL <operation> pass|fail|n/a [text]
//
// See tests/clients/README.md.
package cells

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"
)

const cellTime = 90 * time.Second

// Bootstrap is the broker's address.
var Bootstrap = os.Getenv("BOOTSTRAP")

// Values are what most cells produce.
var Values = makeValues()

func makeValues() []string {
	var values []string
	for i := range 50 {
		values = append(values, strings.Repeat(fmt.Sprintf("value %d ", i), 20))
	}
	return values
}

// Cell is one operation with one client. Its text is reported when it passes.
type Cell struct {
	Operation string
	Run       func(context.Context) string
}

// Unique is a name no other cell uses.
func Unique(kind string) string {
	bytes := make([]byte, 4)
	_, err := rand.Read(bytes)
	Check(err)
	return "matrix-" + kind + "-" + hex.EncodeToString(bytes)
}

// Check fails the cell when there is an error.
func Check(err error) {
	if err != nil {
		panic(err)
	}
}

// Must returns the value, or fails the cell.
func Must[T any](value T, err error) T {
	Check(err)
	return value
}

// Equal fails the cell when the two differ.
func Equal[T any](found, expected T) {
	if !reflect.DeepEqual(found, expected) {
		panic(fmt.Sprintf("%.300v instead of %.300v", found, expected))
	}
}

// Until asks the condition until it holds, for at most forty seconds.
func Until(what string, condition func() bool) {
	deadline := time.Now().Add(40 * time.Second)
	for !condition() {
		if time.Now().After(deadline) {
			panic("not within 40 s: " + what)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// NotApplicable reports operations the client does not have.
func NotApplicable(reason string, operations ...string) {
	for _, operation := range operations {
		report(operation, "n/a", reason)
	}
}

// Run runs the cells one after the other and ends the process, with status 1 if one failed.
func Run(cells []Cell) {
	status := 0
	for _, cell := range cells {
		if len(os.Args) > 1 && !slices.Contains(os.Args[1:], cell.Operation) {
			continue
		}
		if !runOne(cell) {
			status = 1
		}
	}
	os.Exit(status)
}

func runOne(cell Cell) bool {
	ctx, cancel := context.WithTimeout(context.Background(), cellTime)
	defer cancel()
	done := make(chan bool, 1)
	go func() {
		defer func() {
			if reason := recover(); reason != nil {
				report(cell.Operation, "fail", fmt.Sprint(reason))
				done <- false
			}
		}()
		report(cell.Operation, "pass", cell.Run(ctx))
		done <- true
	}()
	select {
	case passed := <-done:
		return passed
	case <-time.After(cellTime + 5*time.Second):
		report(cell.Operation, "fail", fmt.Sprint("the cell took more than ", cellTime))
		return false
	}
}

func report(operation, verdict, text string) {
	fmt.Println("CELL", operation, verdict, strings.Join(strings.Fields(text), " "))
}
