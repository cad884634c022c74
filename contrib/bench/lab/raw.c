/* The limit: six attributes on each VF of one interface by nothing but rtnetlink, a request per attribute with its own
 * acknowledgement, many in one send. What to write comes on stdin, a line per VF:
 *
 *     VF MAC VLAN SPOOFCHK TRUST LINK_STATE MAX_TX_RATE      (numbers, the MAC as 52:54:00:00:00:01)
 *
 * Prints the seconds from the first request that is packed to the last acknowledgement. Exits with 1 if one is refused. */
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define MOST 4096
#define PER_SEND 64

struct wanted {
    struct ifla_vf_mac mac;
    struct ifla_vf_vlan vlan;
    struct ifla_vf_spoofchk spoofchk;
    struct ifla_vf_trust trust;
    struct ifla_vf_link_state state;
    struct ifla_vf_rate rate;
};

static struct wanted all[MOST];
static char buffer[PER_SEND * 128];
static size_t used;
static unsigned sequence, waiting;
static int channel, interface;

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static void acknowledged(void) {
    char data[8192];
    while (waiting > 0) {
        ssize_t length = recv(channel, data, sizeof data, 0);
        if (length < 0)
            fail("recv");
        for (struct nlmsghdr *head = (void *)data; NLMSG_OK(head, length); head = NLMSG_NEXT(head, length)) {
            struct nlmsgerr *answer = NLMSG_DATA(head);
            if (head->nlmsg_type != NLMSG_ERROR || answer->error != 0) {
                fprintf(stderr, "request %u: %s\n", head->nlmsg_seq, strerror(-answer->error));
                exit(1);
            }
            waiting--;
        }
    }
}

static void flush(void) {
    if (send(channel, buffer, used, 0) != (ssize_t)used)
        fail("send");
    used = 0;
    acknowledged();
}

static struct rtattr *begin(struct nlmsghdr *head, unsigned short type) {
    struct rtattr *attribute = (void *)((char *)head + NLMSG_ALIGN(head->nlmsg_len));
    attribute->rta_type = type;
    attribute->rta_len = RTA_LENGTH(0);
    head->nlmsg_len = NLMSG_ALIGN(head->nlmsg_len) + RTA_LENGTH(0);
    return attribute;
}

static void request(unsigned short type, const void *value, unsigned size) {
    struct nlmsghdr *head = (void *)(buffer + used);
    struct ifinfomsg *link = NLMSG_DATA(head);
    memset(head, 0, 128);
    head->nlmsg_len = NLMSG_LENGTH(sizeof *link);
    head->nlmsg_type = RTM_NEWLINK;
    head->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
    head->nlmsg_seq = ++sequence;
    link->ifi_index = interface;
    struct rtattr *list = begin(head, IFLA_VFINFO_LIST), *info = begin(head, IFLA_VF_INFO), *one = begin(head, type);
    memcpy(RTA_DATA(one), value, size);
    head->nlmsg_len += size;
    one->rta_len += size;
    info->rta_len = (char *)head + head->nlmsg_len - (char *)info;
    list->rta_len = (char *)head + head->nlmsg_len - (char *)list;
    used += NLMSG_ALIGN(head->nlmsg_len);
    if (++waiting == PER_SEND)
        flush();
}

static int read_all(void) {
    unsigned vf, vlan, spoofchk, trust, state, rate, mac[6];
    int count = 0;
    while (count < MOST && scanf("%u %x:%x:%x:%x:%x:%x %u %u %u %u %u", &vf, &mac[0], &mac[1], &mac[2], &mac[3], &mac[4],
                                 &mac[5], &vlan, &spoofchk, &trust, &state, &rate) == 12) {
        struct wanted *next = &all[count++];
        next->mac.vf = vf;
        for (int byte = 0; byte < 6; byte++)
            next->mac.mac[byte] = mac[byte];
        next->vlan = (struct ifla_vf_vlan){vf, vlan, 0};
        next->spoofchk = (struct ifla_vf_spoofchk){vf, spoofchk};
        next->trust = (struct ifla_vf_trust){vf, trust};
        next->state = (struct ifla_vf_link_state){vf, state};
        next->rate = (struct ifla_vf_rate){vf, 0, rate};
    }
    return count;
}

int main(int count, char **arguments) {
    struct timespec from, to;
    interface = count == 2 ? if_nametoindex(arguments[1]) : 0;
    if (interface == 0) {
        fprintf(stderr, "usage: raw INTERFACE <VALUES\n");
        return 2;
    }
    int vfs = read_all();
    clock_gettime(CLOCK_MONOTONIC, &from);
    if ((channel = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE)) < 0)
        fail("socket");
    for (struct wanted *next = all; next < all + vfs; next++) {
        request(IFLA_VF_MAC, &next->mac, sizeof next->mac);
        request(IFLA_VF_VLAN, &next->vlan, sizeof next->vlan);
        request(IFLA_VF_SPOOFCHK, &next->spoofchk, sizeof next->spoofchk);
        request(IFLA_VF_TRUST, &next->trust, sizeof next->trust);
        request(IFLA_VF_LINK_STATE, &next->state, sizeof next->state);
        request(IFLA_VF_RATE, &next->rate, sizeof next->rate);
    }
    if (waiting)
        flush();
    clock_gettime(CLOCK_MONOTONIC, &to);
    printf("%.6f\n", (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9);
    return 0;
}
