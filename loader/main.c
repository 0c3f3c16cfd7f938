/* SPDX-License-Identifier: GPL-2.0-only */
/* fwjit: reads the firewall that is there, compiles it, attaches it where the caller may. Options and the verb table. */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

static const struct verb {
	const char *name;
	int (*run)(struct cli *c);
	const char *args, *what;
} verbs[] = {
	{ "check",  verb_check,  "[-f FILE]… [--target T] [--dev IF]… [--slice] [-j]", "compile; say for each rule where it runs, or why not" },
	{ "apply",  verb_apply,  "[-f FILE]… [--target T] [--access A] [--dev IF]… [--on-failure open|closed] [--snapshot] [-c] [-j]", "compile, load and attach, all or nothing" },
	{ "list",   verb_list,   "[ruleset|counters] [-a] [-s] [-t] [-n] [-j]", "what is enforced now, with counters" },
	{ "test",   verb_test,   "(--pcap F | --packet EXPR)… [-f FILE] [--engine interp|xdp] [-j]", "verdict and deciding rule of each packet, offline" },
	{ "dump",   verb_dump,   "--imr[=PASS] | --asm | --netlink [-f FILE] [--dev IF] [--slice]", "artefacts" },
	{ "probe",  verb_probe,  "[-j]", "every target: possible here or not, and why" },
	{ "watch",  verb_watch,  "[--dev IF]…", "follow the live rules and keep the programs in step" },
	{ "detach", verb_detach, "[--all | ID]", "remove what fwjit attached" },
	{ "delegate", verb_delegate, "--pid PID", "give the user namespace of a process the BPF rights that apply needs there" },
	{ "oci-hook", verb_oci_hook, "[--dev IF]… [--target T] [--access A] [--on-failure open|closed] [--from legacy|nft]", "createContainer hook: a container's firewall, before its first instruction" },
	{ NULL, NULL, NULL, NULL },
};

enum { OPT_TARGET = 256, OPT_DEV, OPT_PACKET, OPT_PCAP, OPT_ENGINE, OPT_FROM, OPT_CAPS, OPT_IMR, OPT_ASM, OPT_NETLINK,
       OPT_SLICE, OPT_ACCESS, OPT_ON_FAILURE, OPT_SNAPSHOT, OPT_ALL, OPT_FOREGROUND, OPT_NETNS, OPT_PID, OPT_PEER, OPT_HELP,
       OPT_VERSION };

static const struct option options[] = {
	{ "file", required_argument, NULL, 'f' },
	{ "check", no_argument, NULL, 'c' },
	{ "json", no_argument, NULL, 'j' },
	{ "handle", no_argument, NULL, 'a' },
	{ "stateless", no_argument, NULL, 's' },
	{ "terse", no_argument, NULL, 't' },
	{ "numeric", no_argument, NULL, 'n' },
	{ "target", required_argument, NULL, OPT_TARGET },
	{ "dev", required_argument, NULL, OPT_DEV },
	{ "packet", required_argument, NULL, OPT_PACKET },
	{ "pcap", required_argument, NULL, OPT_PCAP },
	{ "engine", required_argument, NULL, OPT_ENGINE },
	{ "from", required_argument, NULL, OPT_FROM },
	{ "caps", required_argument, NULL, OPT_CAPS },
	{ "imr", optional_argument, NULL, OPT_IMR },
	{ "asm", no_argument, NULL, OPT_ASM },
	{ "netlink", no_argument, NULL, OPT_NETLINK },
	{ "slice", no_argument, NULL, OPT_SLICE },
	{ "access", required_argument, NULL, OPT_ACCESS },
	{ "on-failure", required_argument, NULL, OPT_ON_FAILURE },
	{ "snapshot", no_argument, NULL, OPT_SNAPSHOT },
	{ "all", no_argument, NULL, OPT_ALL },
	{ "foreground", no_argument, NULL, OPT_FOREGROUND },
	{ "netns", required_argument, NULL, OPT_NETNS },
	{ "pid", required_argument, NULL, OPT_PID },
	{ "peer", no_argument, NULL, OPT_PEER },
	{ "help", no_argument, NULL, OPT_HELP },
	{ "version", no_argument, NULL, OPT_VERSION },
	{ NULL, 0, NULL, 0 },
};

static int usage(FILE *to)
{
	fprintf(to, "usage: fwjit VERB [OPTION]…\n\n");
	for (const struct verb *v = verbs; v->name; v++)
		fprintf(to, "  %-8s %s\n           %s\n", v->name, v->what, v->args);
	fprintf(to, "\nWith --netns FILE|NAME or --pid PID a verb works in that network namespace; apply --peer attaches at the other end\n"
		"of its veth devices.\n");
	fprintf(to, "Without -f the live rules of this network namespace are read. README.md and docs/ have the rest.\n");
	return to == stdout ? EXIT_DONE : EXIT_USAGE;
}

static bool push(const char **list, unsigned int *n, const char *what, const char *value)
{
	if (*n == CLI_MAX) {
		fprintf(stderr, "fwjit: more than %d times %s\n", CLI_MAX, what);
		return false;
	}
	list[(*n)++] = value;
	return true;
}

static bool one_of(const char *option, const char *value, const char *const *allowed)
{
	for (const char *const *a = allowed; *a; a++)
		if (!strcmp(*a, value))
			return true;
	fprintf(stderr, "fwjit: --%s \"%s\": not one of", option, value);
	for (const char *const *a = allowed; *a; a++)
		fprintf(stderr, " %s", *a);
	fprintf(stderr, "\n");
	return false;
}

static bool take_dump(struct cli *c, enum cli_dump what)
{
	if (c->dump && c->dump != what)
		fprintf(stderr, "fwjit: one of --imr, --asm and --netlink at a time\n");
	else
		c->dump = what;
	return c->dump == what;
}

static bool take_pid(struct cli *c, const char *arg)
{
	char *end;
	long n = strtol(arg, &end, 10);

	c->pid = n > 0 && n <= INT_MAX && !*end ? (int)n : 0;
	if (!c->pid)
		fprintf(stderr, "fwjit: --pid \"%s\": not a process number\n", arg);
	return c->pid;
}

/* One option into c. False: said why. */
static bool take(struct cli *c, int opt, const char *arg)
{
	static const char *const froms[] = { "legacy", "nft", NULL }, *const engines[] = { "interp", "xdp", NULL },
			  *const accesses[] = { "direct", "load_bytes", "dynptr", NULL },
			  *const failures[] = { "open", "closed", NULL };

	switch (opt) {
	case 'f': return push(c->file, &c->n_file, "-f", arg);
	case OPT_DEV: return push(c->dev, &c->n_dev, "--dev", arg);
	case OPT_PACKET: return push(c->packet, &c->n_packet, "--packet", arg);
	case 'c': c->check_only = true; return true;
	case 'j': c->json = true; return true;
	case 'a': c->handles = true; return true;
	case 's': c->stateless = true; return true;
	case 't': c->terse = true; return true;
	case 'n': c->numeric = true; return true;
	case OPT_TARGET: c->target = arg; return true;
	case OPT_ACCESS: c->access = arg; return one_of("access", arg, accesses);
	case OPT_ON_FAILURE: c->fail_open = !strcmp(arg, "open"); return one_of("on-failure", arg, failures);
	case OPT_PCAP: c->pcap = arg; return true;
	case OPT_ENGINE: c->engine = arg; return one_of("engine", arg, engines);
	case OPT_FROM: c->from = arg; return one_of("from", arg, froms);
	case OPT_CAPS: c->caps = arg; return true;
	case OPT_IMR: c->pass = arg; return take_dump(c, DUMP_IMR);
	case OPT_ASM: return take_dump(c, DUMP_ASM);
	case OPT_NETLINK: return take_dump(c, DUMP_NETLINK);
	case OPT_SLICE: c->slice = true; return true;
	case OPT_SNAPSHOT: c->snapshot = true; return true;
	case OPT_ALL: c->all = true; return true;
	case OPT_FOREGROUND: c->foreground = true; return true;
	case OPT_NETNS: c->netns = arg; return true;
	case OPT_PEER: c->peer = true; return true;
	case OPT_PID: return take_pid(c, arg);
	default: return false;
	}
}

static const struct verb *verb_find(const char *name)
{
	for (const struct verb *v = verbs; v->name; v++)
		if (!strcmp(v->name, name))
			return v;
	return NULL;
}

/* A file without its -f must not make a verb mean the live rules. */
static int too_many(const struct verb *v, const char *word)
{
	fprintf(stderr, "fwjit: %s: \"%s\" is one word too many", v->name, word);
	if (v->run == verb_list || v->run == verb_detach)
		fprintf(stderr, "\n");
	else
		fprintf(stderr, "; rules from a file: -f %s\n", word);
	return EXIT_USAGE;
}

/* In the network namespace of others. */
static int run_inside(const struct verb *v, struct cli *c)
{
	c->outside = ld_broker_enter(c->diags, c->netns, c->pid);
	if (c->outside >= 0)
		return v->run(c);
	cli_diags(c, DIAG_ERROR);
	return c->outside == -EPERM ? EXIT_RIGHTS : EXIT_INPUT;
}

static int run(const struct verb *v, struct cli *c, int argc, char **argv)
{
	int opt;

	while ((opt = getopt_long(argc, argv, "f:cjastn", options, NULL)) != -1) {
		if (opt == OPT_HELP)
			return usage(stdout);
		if (!take(c, opt, optarg))
			return EXIT_USAGE;
	}
	if (optind < argc && (v->run == verb_list || v->run == verb_detach))
		c->object = argv[optind++];
	if (optind < argc)
		return too_many(v, argv[optind]);
	if (c->peer && !c->netns && !c->pid) {
		fprintf(stderr, "fwjit: --peer goes with --netns or --pid\n");
		return EXIT_USAGE;
	}
	return v->run == verb_delegate || (!c->netns && !c->pid) ? v->run(c) : run_inside(v, c);
}

int main(int argc, char **argv)
{
	const struct verb *v;
	struct cli c = { 0 };
	struct diags ds = { 0 };
	int r;

	if (argc < 2)
		return usage(stderr);
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "help"))
		return usage(stdout);
	if (!strcmp(argv[1], "--version")) {
		printf("fwjit %s\n", FWJIT_VERSION);
		return EXIT_DONE;
	}
	v = verb_find(argv[1]);
	if (!v) {
		fprintf(stderr, "fwjit: \"%s\" is no verb\n", argv[1]);
		return usage(stderr);
	}
	ld_rights_shed();
	c.arena = ds.arena = arena_new();
	c.diags = &ds;
	c.verb = v->name;
	r = run(v, &c, argc - 1, argv + 1);
	arena_free(c.arena);
	return r;
}
