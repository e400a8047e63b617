package biobank

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"aliquot/shared/fault"
)

// Names of containers, made by the format of their type. The text of a format is literal, with tokens:
//
//	%PCONT_NAME%       name of the container that the new one lies in
//	%PCONT_UID%        next number in that container
//	%PCONT_ALPHA_SEQ%  the same, as A, B, ... Z, AA
//	%SITE_CODE%        code of the site
//	%SITE_UID%         next number at the site
//
// Numbers may give a width, %PCONT_UID(2)%, to which zeros fill them up. Below a site the tokens of the container above
// stand for nothing, so a format that has them makes no name there.

// namePart is literal text or a token.
type namePart struct {
	literal, token string
	width          int
}

var nameTokens = map[string]bool{"PCONT_NAME": false, "PCONT_UID": true, "PCONT_ALPHA_SEQ": false, "SITE_CODE": false, "SITE_UID": true}

func parseContainerName(text string) ([]namePart, error) {
	var parts []namePart
	for text != "" {
		literal, rest, ok := strings.Cut(text, "%")
		if literal != "" {
			parts = append(parts, namePart{literal: literal})
		}
		if !ok {
			break
		}
		token, rest, ok := strings.Cut(rest, "%")
		if !ok {
			return nil, errors.New("a token is not closed with %")
		}
		p := namePart{token: token}
		if name, width, ok := strings.Cut(token, "("); ok {
			n, err := strconv.Atoi(strings.TrimSuffix(width, ")"))
			if err != nil || n < 1 || n > 18 || !strings.HasSuffix(width, ")") || !nameTokens[name] {
				return nil, fmt.Errorf("%%%s%% has no valid width", token)
			}
			p = namePart{token: name, width: n}
		}
		if _, ok := nameTokens[p.token]; !ok {
			return nil, fmt.Errorf("%%%s%% is not a token", token)
		}
		parts, text = append(parts, p), rest
	}
	return parts, nil
}

// containerName makes the next free name of a container that goes into a branch (nil: to the top of a site). It is empty
// where the format has a token that stands for nothing there.
func (b *Batch) containerName(ctx context.Context, c *Change, format string, into *Branch, site int64) (string, error) {
	parts, err := parseContainerName(format)
	if err != nil {
		return "", fmt.Errorf("stored name format: %w", err)
	}
	rec, err := b.rec(ctx, setKeyOrNone(Site, site))
	if err != nil {
		return "", err
	}
	at, err := Decode[SiteDoc](rec)
	if err != nil {
		return "", err
	}
	const skips = 100 // numbers that people have used by hand
	for try := range skips {
		name, counts := "", false
		numbers := map[string]int64{}
		for _, p := range parts {
			value := p.literal
			switch p.token {
			case "PCONT_NAME", "PCONT_UID", "PCONT_ALPHA_SEQ":
				if into == nil {
					return "", nil
				}
				value = into.Doc().Name
				if p.token != "PCONT_NAME" {
					n, err := b.nameNumber(ctx, c, fmt.Sprintf("container.in#%d", into.ID()), try, numbers)
					if err != nil {
						return "", err
					}
					counts, value = true, fmt.Sprintf("%0*d", p.width, n)
					if p.token == "PCONT_ALPHA_SEQ" {
						value = letters(n)
					}
				}
			case "SITE_CODE":
				if value = at.Code; value == "" {
					return "", nil
				}
			case "SITE_UID":
				n, err := b.nameNumber(ctx, c, fmt.Sprintf("container.at#%d", site), try, numbers)
				if err != nil {
					return "", err
				}
				counts, value = true, fmt.Sprintf("%0*d", p.width, n)
			}
			name += value
		}
		id, err := b.setID(ctx, containerMark(name), uniqueContainer, name)
		if err != nil || id == 0 || !counts {
			return name, err // one that is taken and has no number is told as a duplicate
		}
	}
	return "", fault.New("STORAGE_CONTAINER_DUP_NAME", "The next %d names of the format %q are in use; give the Name.", skips, format)
}

// nameNumber draws a number for a name, once for each try; a row of a job gets the same ones however often it is done.
func (b *Batch) nameNumber(ctx context.Context, c *Change, counter string, try int, drawn map[string]int64) (int64, error) {
	if n, ok := drawn[counter]; ok {
		return n, nil
	}
	var n int64
	var err error
	if c.Source == "" {
		n, err = b.store.Reserve(ctx, counter, 1)
	} else {
		n, _, err = b.store.ReserveFor(ctx, c.Source+"/"+strconv.Itoa(try), counter, 1)
	}
	if err != nil {
		return 0, fmt.Errorf("draw from counter %s: %w", counter, err)
	}
	drawn[counter] = n
	return n, nil
}
