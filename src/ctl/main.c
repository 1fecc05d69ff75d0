/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * zsblkctl: takes the command line apart, finds the instances, and calls the verb.
 *
 *   zsblkctl [OPTION...] [VERB] [NAME...] [WORD...]
 */
#include "ctl/complain.h"
#include "ctl/connection.h"
#include "ctl/exit.h"
#include "ctl/named.h"
#include "ctl/options.h"
#include "ctl/place.h"
#include "ctl/verbs.h"

#include <getopt.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Which verb is it? *first becomes the first word after it. NULL: said already. */
static const struct verb *choose_verb(int argc, char **argv, int *first)
{
	const struct verb *verb;

	/* As zramctl: without more words, or with the name of a device, it lists. */
	if (*first == argc || argv[*first][0] == '/')
		return verbs_find("list");
	verb = verbs_find(argv[*first]);
	if (verb)
		++*first;
	else
		complain(EXIT_WRONG_USE, "there is no verb '%.60s'; zsblkctl --help lists them", argv[*first]);
	return verb;
}

static int check_options(const struct verb *verb, const struct options *options)
{
	uint32_t wrong = options->given & ~(verb->options | OPTIONS_ALWAYS);

	return wrong ? complain(EXIT_WRONG_USE, "%s does not take %s; see zsblkctl %s --help", verb->name,
				options_name(wrong), verb->name)
		     : EXIT_DONE;
}

/* How many of `n` words are names of instances? -1: there are too few or too many words, which was said. */
static int count_names(const struct verb *verb, const struct options *options, int n)
{
	int names = 0, least = (int)verb->min_words, most = (int)verb->max_words;
	bool by_socket = options_has(options, OPTION_CONTROL);

	if (verb->names == VERB_NAMES_MANY && !by_socket)
		return n;
	if (verb->names == VERB_NAMES_ONE && !by_socket)
		names = 1;
	if (n < names)
		return complain(-1, "%s: of which device? Give its NAME, which zsblkctl list shows", verb->name);
	if (n - names < least)
		return complain(-1, "%s: words are missing: %s; see zsblkctl %s --help", verb->name, verb->words,
				verb->name);
	if (n - names > most)
		return complain(-1, "%s: that is a word too many%s; see zsblkctl %s --help", verb->name,
				by_socket ? " (with --control there is no NAME)" : "", verb->name);
	return names;
}

static int run(const struct verb *verb, const struct options *options, char **words, int n)
{
	struct call call = {.verb = verb, .options = options};
	struct named named = {0};
	int names = count_names(verb, options, n), r;

	if (names < 0)
		return EXIT_WRONG_USE;
	r = verb->names == VERB_NAMES_NONE ? EXIT_DONE : named_find(&named, options, words, (size_t)names);
	if (!r) {
		call.is_for_all = verb->names == VERB_NAMES_MANY && !names && !options_has(options, OPTION_CONTROL);
		call.connections = named.connections;
		call.n_connections = named.n;
		call.words = words + names;
		call.n_words = (size_t)(n - names);
		r = verb->run(&call);
	}
	named_free(&named);
	return r;
}

/* What could not be written was not seen by anybody. */
static int finish(int code)
{
	if ((fflush(stdout) == EOF || ferror(stdout)) && code == EXIT_DONE)
		return complain(EXIT_FAILED, "standard output cannot be written to");
	return code;
}

int main(int argc, char **argv)
{
	struct options options;
	const struct verb *verb;
	int first, r;

	/* For the widths of characters only: figures keep their point. */
	setlocale(LC_CTYPE, "");
	r = options_parse(&options, argc, argv);
	if (r)
		return r;
	first = optind;
	if (options_has(&options, OPTION_VERSION)) {
		puts("zsblkctl " ZSBLK_VERSION);
		return finish(EXIT_DONE);
	}
	if (options_has(&options, OPTION_HELP) && first == argc) {
		verbs_help(stdout);
		return finish(EXIT_DONE);
	}
	verb = choose_verb(argc, argv, &first);
	if (!verb)
		return EXIT_WRONG_USE;
	if (options_has(&options, OPTION_HELP)) {
		verbs_help_one(stdout, verb);
		return finish(EXIT_DONE);
	}
	if (!options_has(&options, OPTION_TIMEOUT) && verb->timeout_s)
		options.timeout_s = verb->timeout_s;
	r = check_options(verb, &options);
	return r ? r : finish(run(verb, &options, argv + first, argc - first));
}
