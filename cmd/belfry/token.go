package main

import (
	"fmt"
	"time"

	"belfry"
	"belfry/auth"
)

// A tokenCmd signs a token with the secret that serve uses.
type tokenCmd struct {
	UID     string        `required:"" help:"User who logs in."`
	Company string        `required:"" help:"Company of the user."`
	TTL     time.Duration `default:"24h" help:"How long the token is valid."`
	Data    string        `help:"Directory of the secret." default:"belfry-data" type:"path" placeholder:"DIR"`
	Auth    tokenFlags    `embed:"" prefix:"auth."`
}

// Run implements the command.
func (c *tokenCmd) Run(out *surroundings) error {
	who, err := belfry.NewIdentity(c.UID, c.Company)
	if err != nil {
		return err
	}
	if c.TTL <= 0 {
		return fmt.Errorf("ttl must be longer than nothing")
	}
	options, err := c.Auth.tokenOptions(c.Data)
	if err != nil {
		return err
	}
	tokens, err := auth.NewTokens(options)
	if err != nil {
		return err
	}
	token, err := tokens.Sign(who, c.TTL)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(out.stdout, token)
	return err
}
