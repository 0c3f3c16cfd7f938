/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The OCI runtime specification's state and config.json, as much of them as a hook must know. What is missing or of
 * another type is an error, never a default that lets a container start: only what the specification makes optional and
 * says the meaning of has one.
 */
#include <json-c/json.h>
#include <string.h>
#include <strings.h>

#include "oci.h"

static void put(struct json_object **o)
{
	json_object_put(*o);
}
#define _cleanup_json_ __attribute__((cleanup(put)))

static const char *what_is_wrong(enum json_tokener_error e)
{
	if (e == json_tokener_success)
		return NULL;
	return e == json_tokener_continue ? "it ends too early" : json_tokener_error_desc(e);
}

/* A whole text that is one object, or NULL. */
static struct json_object *parse(struct diags *ds, const char *what, const char *text, size_t len)
{
	struct json_tokener *t = len <= INT32_MAX ? json_tokener_new() : NULL;
	struct json_object *o = NULL;
	const char *why = "too long";

	if (t) {
		json_tokener_set_flags(t, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
		o = json_tokener_parse_ex(t, text, len);
		why = what_is_wrong(json_tokener_get_error(t));
		for (size_t i = json_tokener_get_parse_end(t); !why && i < len; i++)
			why = memchr(" \t\r\n", text[i], 4) ? NULL : "something behind the JSON object";
		json_tokener_free(t);
	}
	if (!why && o && json_object_is_type(o, json_type_object))
		return o;
	put(&o);
	diag_add(ds, DIAG_ERROR, NULL, "%s: %s", what, why ? why : "not a JSON object");
	return NULL;
}

/* The member of that type; NULL where there is none. Another type is an error. */
static struct json_object *member(struct diags *ds, const char *what, struct json_object *o, const char *key,
				  enum json_type type, bool *bad)
{
	struct json_object *m;

	if (!o || !json_object_object_get_ex(o, key, &m) || !m)
		return NULL;
	if (json_object_is_type(m, type))
		return m;
	diag_add(ds, DIAG_ERROR, NULL, "%s: \"%s\" is no %s", what, key, json_type_to_name(type));
	*bad = true;
	return NULL;
}

/* A string without a zero byte in it. */
static const char *text_of(struct arena *a, struct diags *ds, const char *what, struct json_object *o, const char *key,
			   bool *bad)
{
	struct json_object *m = member(ds, what, o, key, json_type_string, bad);
	const char *s = m ? json_object_get_string(m) : NULL;

	if (!s || strlen(s) == (size_t)json_object_get_string_len(m))
		return s ? arena_strndup(a, s, strlen(s)) : NULL;
	diag_add(ds, DIAG_ERROR, NULL, "%s: \"%s\": a zero byte in it", what, key);
	*bad = true;
	return NULL;
}

static bool flag_parse(struct diags *ds, const char *text, bool *ret)
{
	*ret = text && !strcmp(text, "true");
	if (!text || *ret || !strcmp(text, "false"))
		return true;
	diag_add(ds, DIAG_ERROR, NULL, "annotation %s: \"%s\": \"true\" or \"false\"", OCI_BROKERED, text);
	return false;
}

static bool ruleset_named(struct diags *ds, const char *path)
{
	if (path && *path == '/')
		return true;
	if (path)
		diag_add(ds, DIAG_ERROR, NULL, "annotation %s: \"%s\": not an absolute path", OCI_RULESET, path)->hint =
			"the hook runs with the host's files and in no directory of its caller's";
	else
		diag_add(ds, DIAG_ERROR, NULL, "the container has no annotation %s, which names its rules", OCI_RULESET)->hint =
			"a hook that is not for every container says \"when\": { \"annotations\": … } in its own file";
	return false;
}

bool oci_state_parse(struct arena *a, struct diags *ds, const char *text, size_t len, struct oci_state *ret)
{
	static const char what[] = "the container's state on standard input";
	_cleanup_json_ struct json_object *o = parse(ds, what, text, len);
	struct json_object *notes;
	const char *brokered;
	bool bad = !o;

	*ret = (struct oci_state){ .id = NULL };
	if (bad)
		return false;
	ret->id = text_of(a, ds, what, o, "id", &bad);
	ret->bundle = text_of(a, ds, what, o, "bundle", &bad);
	notes = member(ds, what, o, "annotations", json_type_object, &bad);
	ret->ruleset = text_of(a, ds, what, notes, OCI_RULESET, &bad);
	brokered = text_of(a, ds, what, notes, OCI_BROKERED, &bad);
	if (!bad && (!ret->id || !ret->bundle)) {
		diag_add(ds, DIAG_ERROR, NULL, "%s: no \"%s\"", what, ret->id ? "bundle" : "id");
		bad = true;
	}
	return !bad && ruleset_named(ds, ret->ruleset) && flag_parse(ds, brokered, &ret->brokered);
}

/* ------------------------------------------------------------------ config.json */

static bool has_cap(struct json_object *set, const char *cap)
{
	for (size_t i = 0; i < json_object_array_length(set); i++) {
		const char *s = json_object_get_string(json_object_array_get_idx(set, i));

		if (s && !strcasecmp(s, cap))
			return true;
	}
	return false;
}

/* A set that is not there is empty. */
static bool caps_parse(struct diags *ds, const char *what, struct json_object *process, struct oci_container *ret)
{
	static const char *const sets[] = { "bounding", "effective", "permitted", "inheritable", "ambient" };
	bool bad = false;
	struct json_object *caps = member(ds, what, process, "capabilities", json_type_object, &bad);

	if (!caps && !bad)
		diag_add(ds, DIAG_ERROR, NULL, "%s: no \"process\" with \"capabilities\": which the container has cannot be told",
			 what);
	for (size_t i = 0; caps && i < sizeof(sets) / sizeof(*sets); i++) {
		struct json_object *set = member(ds, what, caps, sets[i], json_type_array, &bad);

		ret->net_admin |= set && has_cap(set, "CAP_NET_ADMIN");
	}
	return caps && !bad;
}

static bool netns_parse(struct arena *a, struct diags *ds, const char *what, struct json_object *linux_,
			struct oci_container *ret)
{
	bool bad = false;
	struct json_object *list = member(ds, what, linux_, "namespaces", json_type_array, &bad);

	for (size_t i = 0; list && i < json_object_array_length(list); i++) {
		struct json_object *ns = json_object_array_get_idx(list, i);
		const char *type, *path;

		if (!json_object_is_type(ns, json_type_object))
			continue;
		type = text_of(a, ds, what, ns, "type", &bad);
		path = text_of(a, ds, what, ns, "path", &bad);
		if (!type || strcmp(type, "network"))
			continue;
		ret->own_netns = true;
		ret->netns = path && *path ? path : NULL;
	}
	return !bad;
}

bool oci_container_parse(struct arena *a, struct diags *ds, const char *text, size_t len, struct oci_container *ret)
{
	static const char what[] = "config.json";
	_cleanup_json_ struct json_object *o = parse(ds, what, text, len);
	struct json_object *process, *linux_;
	bool bad = !o;

	*ret = (struct oci_container){ .net_admin = false };
	process = member(ds, what, o, "process", json_type_object, &bad);
	linux_ = member(ds, what, o, "linux", json_type_object, &bad);
	return !bad && caps_parse(ds, what, process, ret) && netns_parse(a, ds, what, linux_, ret);
}
