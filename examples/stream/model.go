package main

import (
	"context"
	"errors"
	"hash/fnv"
	"iter"
	"math/rand/v2"
	"strings"
	"time"
)

// model stands for a language model: it makes tokens at its own rate, and it is asked for each of them. The same prompt gets the
// same answer.
type model struct {
	rate   int // tokens a second
	length int // of an answer, in tokens
}

// errModel is how an answer ends half-way when the prompt has the word fail, so that this can be seen, too.
var errModel = errors.New("the model has failed, as it was asked to")

// answer yields the tokens of an answer. It ends with an error when ctx is done. Like a model that is read over HTTP, it makes
// nothing ahead: while the loop body waits for its client, so does the model.
func (m model) answer(ctx context.Context, prompt string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		next, stop := iter.Pull(words(prompt))
		defer stop()
		tick := time.NewTicker(time.Second / time.Duration(m.rate))
		defer tick.Stop()
		fails := strings.Contains(strings.ToLower(prompt), "fail")
		for n := range m.length {
			select {
			case <-tick.C:
			case <-ctx.Done():
				yield("", context.Cause(ctx))
				return
			}
			if fails && n == m.length/2 {
				yield("", errModel)
				return
			}
			if word, _ := next(); !yield(word, nil) {
				return
			}
		}
	}
}

// words are sentences without end, a word at a time, each with the space before it.
func words(prompt string) iter.Seq[string] {
	return func(yield func(string) bool) {
		h := fnv.New64a()
		h.Write([]byte(prompt))
		random := rand.New(rand.NewPCG(h.Sum64(), 0))
		space := ""
		for sentence := 1; ; sentence++ {
			for i, part := range sentenceParts {
				word := part[random.IntN(len(part))]
				if i == 0 {
					word = strings.ToUpper(word[:1]) + word[1:]
				}
				for w := range strings.FieldsSeq(word) {
					if !yield(space + w) {
						return
					}
					space = " "
				}
			}
			if space = " "; sentence%4 == 0 {
				space = "\n\n"
			}
		}
	}
}

// sentenceParts are what stands for what the model knows. Each sentence has one of each.
var sentenceParts = [][]string{
	{"the", "every", "a", "this", "another", "no"},
	{"patient", "quiet", "distant", "slow", "careful", "small", "busy"},
	{"socket", "reader", "mailbox", "harbour", "river", "clock", "gardener", "lighthouse"},
	{"waits for", "listens to", "remembers", "answers", "carries", "looks after", "is older than"},
	{"the next", "its own", "a second", "the last", "every", "a better"},
	{"word,", "letter,", "message,", "train,", "question,", "wave,"},
	{"and nobody", "and everybody", "while somebody", "so that nobody", "because everybody"},
	{"is in a hurry.", "has to wait.", "gets lost.", "asks why.", "goes home early.", "minds."},
}
