/* SPDX-License-Identifier: GPL-2.0-only */
/* The tables of the IMR as arrays: each fact once, in its .def file. */
#include "imr.h"

const struct imr_type_info imr_types[T_MAX] = {
	[T_NONE] = { "none", 0, ORDER_NONE, SHOW_NUM },
#define TYPE(id, text, bits, order, show) [T_##id] = { text, bits, order, show },
#include "type.def"
};

const char *const imr_bases[B_MAX] = {
#define BASE(id, text) [B_##id] = text,
#include "base.def"
};

const struct imr_field_info imr_fields[F_MAX] = {
#define FIELD(id, text, type, base, off, len, shift, bits, l3, l4)                                                     \
	[F_##id] = { text, T_##type, B_##base, off, len, shift, bits, l3, l4 },
#include "field.def"
};

const struct imr_op_info imr_ops[OP_MAX] = {
#define OP(id, text, class, args) [OP_##id] = { text, class, args },
#include "op.def"
};

const struct imr_hook_info imr_hooks[HOOK_MAX] = {
#define HOOK(id, text, family, num, nh_min, ll_min, facts) [HOOK_##id] = { text, family, num, nh_min, ll_min, facts },
#include "hook.def"
};
