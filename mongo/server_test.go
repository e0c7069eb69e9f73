package mongo_test

import (
	"fmt"
	"os"
	"testing"

	"belfry/internal/mongotest"
)

// server is what the tests use.
var server *mongotest.Server

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) (code int) {
	var err error
	if server, err = mongotest.Start(os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "there is no server to test with:", err)
		return 1
	}
	defer func() {
		if err := server.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, "the server has not ended well:", err)
			code = 1
		}
	}()
	return m.Run()
}
