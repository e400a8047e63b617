// Package wire assembles the functions' parts from their settings. Each function has one call here and no more.
package wire

import (
	"fmt"
	"os"
	"reflect"
	"strconv"
	"strings"
)

// Settings fills a struct of strings and ints from the environment: the tag env names the variable, the tag default makes
// it optional. It returns one error that names every variable that is missing or no number, so that one deploy mends all.
func Settings(into any) error {
	v := reflect.ValueOf(into).Elem()
	var wrong []string
	for i := range v.NumField() {
		tag := v.Type().Field(i).Tag
		name := tag.Get("env")
		text := os.Getenv(name)
		if text == "" {
			text = tag.Get("default")
		}
		switch field := v.Field(i); {
		case text == "":
			wrong = append(wrong, name+" is not set")
		case field.Kind() == reflect.String:
			field.SetString(text)
		default:
			n, err := strconv.ParseInt(text, 10, 64)
			if err != nil {
				wrong = append(wrong, name+" is no number")
			}
			field.SetInt(n)
		}
	}
	if len(wrong) > 0 {
		return fmt.Errorf("settings: %s", strings.Join(wrong, ", "))
	}
	return nil
}
