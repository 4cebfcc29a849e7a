/* Windows between two instructions, too small for luck, held open by the hooks of hooked.h. */
#include <iobuf/iobuf.h>

#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

/* A thread that a hook may hold: it says so once, at the first access to `where`, and waits until it may go on. */
typedef struct held {
    const void *where; /* NULL: no longer */
    bool at_store, waits;
    sem_t there, go;
} held;

static _Thread_local held *mine;

static void stop_at(const void *p, bool store)
{
    held *h = mine;
    if (h == NULL || h->where != p || h->at_store != store)
        return;
    h->where = NULL;
    sem_post(&h->there);
    while (h->waits && sem_wait(&h->go) != 0)
        continue;
}

void hook_load(const void *p)
{
    stop_at(p, false);
}

void hook_store(const void *p)
{
    stop_at(p, true);
}

static void await(sem_t *s)
{
    while (sem_wait(s) != 0)
        continue;
}

static void held_init(held *h, const void *where, bool at_store, bool waits)
{
    *h = (held){.where = where, .at_store = at_store, .waits = waits};
    sem_init(&h->there, 0, 0);
    sem_init(&h->go, 0, 0);
}

static _Atomic int blocks; /* of the backing, out */

static void *allocate(void *context, size_t size, size_t alignment)
{
    (void)context;
    void *memory = NULL;
    blocks += posix_memalign(&memory, alignment, size) == 0;
    return memory;
}

static void deallocate(void *context, void *memory, size_t size)
{
    (void)context;
    (void)size;
    blocks--;
    free(memory);
}

bool fence_heavy_available(void);

static iobuf_pool *pool;
static iobuf_slice first, second;
static held owner, other, closer;
static sem_t cut;

static void *own(void *unused)
{
    iobuf_allocator a;
    iobuf_allocator_init(&a, pool, 0);
    iobuf_alloc(&a, 10, &first);
    iobuf_alloc(&a, 10, &second);
    iobuf_allocator_release(&a);
    sem_post(&cut);
    await(&owner.go);
    mine = &owner;
    iobuf_slice_release(&first);
    return unused;
}

static void *release_the_other(void *unused)
{
    mine = &other;
    iobuf_slice_release(&second);
    return unused;
}

static void *close_the_pool(void *unused)
{
    mine = &closer;
    iobuf_pool_close(pool);
    return unused;
}

/* The owner has looked at owner_ and is about to count. Another thread revokes, finds a reference that is not its own, and is about
 * to drop the last but one. Close waits for the owner. What the other thread found is then no longer so. */
static void a_closed_pool_gives_back_what_a_late_release_leaves(void **state)
{
    (void)state;
    if (!fence_heavy_available()) /* an emulator, say: nobody counts without atomics, and there is no such window */
        return;
    iobuf_pool_options options = {.backing = {allocate, deallocate, NULL}};
    assert_int_equal(iobuf_pool_create(&options, &pool), IOBUF_OK);
    pthread_t a, b, c;
    sem_init(&cut, 0, 0);
    held_init(&owner, NULL, false, true);
    pthread_create(&a, NULL, own, NULL);
    await(&cut);
    struct iobuf_buf *buf = second.buf_;
#if IOBUF_CHECKED && SIZE_MAX > UINT32_MAX
    buf = (struct iobuf_buf *)((uintptr_t)buf & UINT64_C(0xffffffffffff)); /* the handle's tag is above */
#endif
    held_init(&other, &buf->taken_, false, true);
    held_init(&closer, &buf->local_, false, false);
    owner.where = &buf->local_;
    owner.at_store = true;
    sem_post(&owner.go);
    await(&owner.there); /* before the mark */
    owner.where = &buf->local_;
    sem_post(&owner.go);
    await(&owner.there); /* before the count, behind both looks at owner_ */
    pthread_create(&b, NULL, release_the_other, NULL);
    await(&other.there);
    pthread_create(&c, NULL, close_the_pool, NULL);
    await(&closer.there);
    sem_post(&owner.go);
    pthread_join(a, NULL);
    pthread_join(c, NULL);
    sem_post(&other.go);
    pthread_join(b, NULL);
    assert_int_equal(blocks, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_closed_pool_gives_back_what_a_late_release_leaves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
