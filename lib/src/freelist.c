/* Best fit in constant time. Small sizes: a list each and a bitmap. Large ones: per power of two a bitwise trie of sizes, as in
 * Doug Lea's malloc ("A Memory Allocator", tree bins): a node at depth d shares the d bits below the leading one with all nodes
 * beneath it, and its own size is any with that prefix; bufs of one size hang behind one node. No path is longer than the bits of
 * a size. Links are in the descriptors, so nothing is ever allocated. */
#include "freelist.h"

static unsigned lowest_bit(uint64_t map)
{
    return (unsigned)__builtin_ctzll(map);
}

static unsigned highest_bit(uint64_t map)
{
    return 63 - (unsigned)__builtin_clzll(map);
}

static void tree_put(struct freelist *f, struct buf *b)
{
    unsigned bit = highest_bit(b->units);
    struct buf **slot = &f->tree[bit];
    f->tree_map |= (uint64_t)1 << bit;
    b->idle.next = b->idle.child[0] = b->idle.child[1] = NULL;
    while (*slot != NULL && (*slot)->units != b->units) {
        /* Two sizes that agree in all bits are equal, so the walk ends before bit 0 is used up. */
        bit--;
        slot = &(*slot)->idle.child[(uint64_t)b->units >> bit & 1];
    }
    if (*slot != NULL) {
        b->idle.next = (*slot)->idle.next;
        (*slot)->idle.next = b;
        return;
    }
    *slot = b;
    b->idle.slot = slot;
}

/* Puts node `by`, or nothing, where `node` is. */
static void tree_replace(struct buf *node, struct buf *by)
{
    *node->idle.slot = by;
    if (by == NULL)
        return;
    by->idle.slot = node->idle.slot;
    for (unsigned i = 0; i < 2; i++) {
        by->idle.child[i] = node->idle.child[i];
        if (by->idle.child[i] != NULL)
            by->idle.child[i]->idle.slot = &by->idle.child[i];
    }
}

/* Takes the last put buf of the node's size. */
static struct buf *tree_take(struct freelist *f, struct buf *node)
{
    struct buf *b = node->idle.next;
    if (b != NULL) {
        node->idle.next = b->idle.next;
        return b;
    }
    struct buf *leaf = node;
    while (leaf->idle.child[0] != NULL || leaf->idle.child[1] != NULL)
        leaf = leaf->idle.child[leaf->idle.child[0] == NULL];
    if (leaf == node) {
        tree_replace(node, NULL);
    } else {
        *leaf->idle.slot = NULL;
        tree_replace(node, leaf);
    }
    unsigned bit = highest_bit(node->units);
    if (f->tree[bit] == NULL)
        f->tree_map &= ~((uint64_t)1 << bit);
    return node;
}

/* The smallest size in a subtree: children's bits are in order, the nodes on the way may have any size. */
static struct buf *tree_smallest(struct buf *node)
{
    struct buf *best = node;
    for (; node != NULL; node = node->idle.child[node->idle.child[0] == NULL]) {
        if (node->units < best->units)
            best = node;
    }
    return best;
}

static struct buf *tree_largest(struct buf *node)
{
    struct buf *best = node;
    for (; node != NULL; node = node->idle.child[node->idle.child[1] != NULL]) {
        if (node->units > best->units)
            best = node;
    }
    return best;
}

/* The smallest of at least `units` in the tree of that power of two: on the path of `units` itself, or the smallest of the last
 * subtree that the path leaves on its right. */
static struct buf *tree_fit(struct buf *node, uint64_t units)
{
    struct buf *best = NULL, *right = NULL;
    for (unsigned bit = highest_bit(units); node != NULL; node = node->idle.child[units >> bit & 1]) {
        if (node->units >= units && (best == NULL || node->units < best->units))
            best = node;
        if (bit == 0)
            break;
        bit--;
        if ((units >> bit & 1) == 0 && node->idle.child[1] != NULL)
            right = node->idle.child[1];
    }
    right = tree_smallest(right);
    return right != NULL && (best == NULL || right->units < best->units) ? right : best;
}

static struct buf *exact_take(struct freelist *f, unsigned i)
{
    struct buf *b = f->exact[i];
    f->exact[i] = b->idle.next;
    if (f->exact[i] == NULL)
        f->exact_map &= ~((uint64_t)1 << i);
    return b;
}

void freelist_put(struct freelist *f, struct buf *b)
{
    if (b->units > FREELIST_EXACT) {
        tree_put(f, b);
        return;
    }
    unsigned i = (unsigned)b->units - 1;
    b->idle.next = f->exact[i];
    f->exact[i] = b;
    f->exact_map |= (uint64_t)1 << i;
}

struct buf *freelist_take(struct freelist *f, uint64_t units)
{
    if (units <= FREELIST_EXACT) {
        uint64_t fits = f->exact_map >> (units - 1);
        if (fits != 0)
            return exact_take(f, (unsigned)units - 1 + lowest_bit(fits));
        units = FREELIST_EXACT + 1; /* any in the trees will do */
    }
    unsigned bit = highest_bit(units);
    struct buf *node = tree_fit(f->tree[bit], units);
    if (node == NULL) {
        uint64_t larger = bit == 63 ? 0 : f->tree_map >> (bit + 1) << (bit + 1);
        if (larger == 0)
            return NULL;
        node = tree_smallest(f->tree[lowest_bit(larger)]);
    }
    return tree_take(f, node);
}

struct buf *freelist_take_largest(struct freelist *f)
{
    if (f->tree_map != 0)
        return tree_take(f, tree_largest(f->tree[highest_bit(f->tree_map)]));
    return f->exact_map != 0 ? exact_take(f, highest_bit(f->exact_map)) : NULL;
}
