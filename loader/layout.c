/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Lengths and checksums: what a packet's headers say of the whole packet, and so can only be written at the end.
 */
#include <netinet/in.h>

#include "layout.h"

void layout_put(uint8_t *p, uint32_t v, unsigned int len)
{
	while (len--) {
		p[len] = v;
		v >>= 8;
	}
}

uint32_t layout_get(const uint8_t *p, unsigned int len)
{
	uint32_t v = 0;

	for (unsigned int i = 0; i < len; i++)
		v = v << 8 | p[i];
	return v;
}

static uint32_t sum16(const uint8_t *p, uint32_t len, uint32_t sum)
{
	for (uint32_t i = 0; i < len; i++)
		sum += i & 1 ? p[i] : p[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static void finish_transport(const struct layout *l, uint8_t *frame, uint32_t end)
{
	uint8_t *nh = frame + l->nh, *h = frame + l->th;
	uint32_t len = end - l->th, sum = 0, at;

	if (l->proto == IPPROTO_UDP && !l->set_ulen)
		layout_put(h + 4, len, 2);
	if (l->proto == 0)
		return;
	at = l->proto == IPPROTO_TCP ? 16 : l->proto == IPPROTO_UDP ? 6 : 2;
	if (l->proto != IPPROTO_ICMP)
		sum = sum16(nh + (l->family == 4 ? 12 : 8), l->family == 4 ? 8 : 32, l->proto + len);
	layout_put(h + at, 0, 2);
	sum = ~sum16(h, len, sum) & 0xffff;
	if (sum == 0 && l->proto == IPPROTO_UDP)
		sum = 0xffff;
	layout_put(h + at, l->bad_l4 ? sum ^ 0x5555 : sum, 2);
}

static void finish_ip4(const struct layout *l, uint8_t *frame, uint32_t end)
{
	uint8_t *h = frame + l->nh;
	uint32_t len = end - l->nh, hlen = (h[0] & 15) * 4;

	if (!l->set_tot)
		layout_put(h + 2, len, 2);
	if (hlen > len)
		hlen = len;
	if (hlen >= 12)
		layout_put(h + 10, (~sum16(h, hlen, 0) & 0xffff) ^ (l->bad_ip ? 0x5555 : 0), 2);
}

void layout_finish(const struct layout *l, uint8_t *frame, uint32_t len)
{
	if (l->nh == NONE)
		return;
	if (l->family == 4)
		finish_ip4(l, frame, len);
	else if (!l->set_tot)
		layout_put(frame + l->nh + 4, len - l->nh - 40, 2);
	if (l->th != NONE)
		finish_transport(l, frame, len);
}
