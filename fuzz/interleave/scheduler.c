/* Fibers, made once by makecontext and switched by setjmp and longjmp, which call no system. A run may leave them anywhere: the
 * next one starts them again where they were made. */
#include "scheduler.h"

#include "memory.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <ucontext.h>

#define STACK_BYTES ((size_t)64 << 10)
#define PLACES 2048      /* a power of two: what one run names */
#define SHARED_MOST 2048 /* likewise: what all runs of a program do */
#define NOBODY (-1)

typedef struct fiber {
    jmp_buf made, stopped;
    jmp_buf *go_on;
    bool ended;
    struct {
        const void *at;
        point_kind kind;
        unsigned least;
        const char *what, *where;
    } next;             /* what it is about to do */
    const void *loaded; /* last, and which of the values that were stored there: what a yield waits for */
    uint32_t loaded_version;
    unsigned op;
    unsigned locks;
    uint64_t hash; /* of all it has done, and of what that depends on */
    uint32_t clock[CLOCKS];
    _Alignas(16) unsigned char stack[STACK_BYTES];
} fiber;

/* What is known of one address. */
typedef struct place {
    const void *at;
    uint32_t run; /* else all of this is of an earlier one */
    uint32_t version;
    uint64_t written, read; /* hashes: of the last store; the sum of those of the loads since */
    unsigned readers, writers;
    int holder;   /* of a lock, or who is within */
    int releaser; /* whose store began the release sequence that `released` is of */
    uint32_t released[CLOCKS], last[CLOCKS];
} place;

static struct {
    jmp_buf end;      /* of the run */
    jmp_buf all_done; /* where the main thread waits */
    jmp_buf maker;
    unsigned made; /* how many threads were */
    unsigned count, left;
    unsigned running; /* MAIN_THREAD: none of them */
    unsigned as;
    void (*body)(unsigned);
    chooser *choose;
    void *context;
    uint32_t run;
    volatile bool in_run;
    uint64_t state;
    unsigned steps, turns_count;
    turn turns[STEPS_MOST];
    char failure[1024];
    fiber threads[CLOCKS]; /* the main thread last */
    place places[PLACES];
    unsigned used[PLACES], used_count; /* those of this run */
    const void *shared[SHARED_MOST];
    unsigned shared_count;
    bool learned;
} s;

static fiber *running(void)
{
    return &s.threads[s.running];
}

static uint64_t mixed(uint64_t z)
{
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

static size_t slot_of(const void *at, size_t slots)
{
    return (size_t)(mixed((uint64_t)(uintptr_t)at) & (slots - 1));
}

/* ---- what may concern others ---- */

static bool is_shared(const void *at)
{
    size_t i = slot_of(at, SHARED_MOST);
    while (s.shared[i] != NULL && s.shared[i] != at)
        i = (i + 1) & (SHARED_MOST - 1);
    return s.shared[i] == at;
}

static void learn(const void *at)
{
    size_t i = slot_of(at, SHARED_MOST);
    while (s.shared[i] != NULL && s.shared[i] != at)
        i = (i + 1) & (SHARED_MOST - 1);
    if (s.shared[i] == at)
        return;
    if (++s.shared_count == SHARED_MOST)
        scheduler_fail("the program is too large: it has more than %d shared places", SHARED_MOST - 1);
    s.shared[i] = at;
    s.learned = true;
}

void scheduler_forget(void)
{
    memset(s.shared, 0, sizeof s.shared);
    s.shared_count = 0;
    s.learned = false;
}

bool scheduler_learned(void)
{
    bool learned = s.learned;
    s.learned = false;
    return learned;
}

/* ---- what was done ---- */

static place *place_of(const void *at)
{
    size_t i = slot_of(at, PLACES);
    for (size_t tries = 0; tries < PLACES; tries++, i = (i + 1) & (PLACES - 1)) {
        place *p = &s.places[i];
        if (p->run == s.run && p->at == at)
            return p;
        if (p->run != s.run) {
            *p = (place){.at = at, .run = s.run, .holder = NOBODY, .releaser = NOBODY};
            s.used[s.used_count++] = (unsigned)i;
            return p;
        }
    }
    scheduler_fail("the program is too large: a run has more than %d places", PLACES);
}

static void note(place *p, bool writes)
{
    fiber *t = running();
    p->last[s.running] = t->clock[s.running];
    p->version += writes;
    if (s.running == MAIN_THREAD) /* all before the threads is the same each time, and nothing behind them is chosen */
        return;
    const uint64_t hash = mixed(t->hash * 3 + mixed((uint64_t)(uintptr_t)p->at ^ p->written) + (writes ? p->read : 0));
    const unsigned bit = 1U << s.running;
    if (writes) {
        p->written = hash;
        p->read = 0;
        p->writers |= bit;
    } else {
        p->read += hash;
        p->readers |= bit;
    }
    t->hash = hash;
    s.state += hash;
    const unsigned all = p->readers | p->writers;
    if (p->writers != 0 && (all & (all - 1)) != 0)
        learn(p->at);
}

/* A step that is nothing to others: the state behind it is another one all the same. */
static void note_alone(void)
{
    fiber *t = running();
    if (s.running == MAIN_THREAD)
        return;
    t->hash = mixed(t->hash + 1);
    s.state += t->hash;
}

static void join(uint32_t *clock, const uint32_t *other)
{
    for (unsigned i = 0; i < CLOCKS; i++) {
        if (clock[i] < other[i])
            clock[i] = other[i];
    }
}

static void acquire(const place *p)
{
    join(running()->clock, p->released);
}

/* What was released there before stays so for a read-modify-write, and for a store by the same thread (C11, 5.1.2.4). */
static void release(place *p, bool changes)
{
    fiber *t = running();
    if (!changes)
        memset(p->released, 0, sizeof p->released);
    p->releaser = changes && p->releaser != (int)s.running ? NOBODY : (int)s.running;
    join(p->released, t->clock);
    t->clock[s.running]++;
}

static bool acquires(int order)
{
    return order == __ATOMIC_ACQUIRE || order == __ATOMIC_ACQ_REL || order == __ATOMIC_SEQ_CST;
}

static bool releases(int order)
{
    return order == __ATOMIC_RELEASE || order == __ATOMIC_ACQ_REL || order == __ATOMIC_SEQ_CST;
}

static bool seen(const uint32_t *last)
{
    const uint32_t *clock = running()->clock;
    for (unsigned i = 0; i < CLOCKS; i++) {
        if (i != s.running && last[i] > clock[i])
            return false;
    }
    return true;
}

const uint32_t *scheduler_clock(void)
{
    return running()->clock;
}

void scheduler_check_settled(const void *bytes, size_t size)
{
    for (unsigned i = 0; i < s.used_count; i++) {
        const place *p = &s.places[s.used[i]];
        if ((uintptr_t)p->at - (uintptr_t)bytes < size && !seen(p->last))
            scheduler_fail("memory is given back that another thread may still use: nothing puts its last access before this");
    }
}

/* ---- turns ---- */

static bool may_go_on(const fiber *t)
{
    switch (t->next.kind) {
    case POINT_LOCK:
        return place_of(t->next.at)->holder == NOBODY;
    case POINT_AWAIT:
        return *(const unsigned *)t->next.at >= t->next.least;
    case POINT_YIELD:
        return place_of(t->loaded)->version != t->loaded_version;
    default:
        return true;
    }
}

static const char *const kind_names[] = {
    [POINT_START] = "start",    [POINT_LOAD] = "load",   [POINT_STORE] = "store",   [POINT_CHANGE] = "change",
    [POINT_CAS] = "compare",    [POINT_LOCK] = "lock",   [POINT_UNLOCK] = "unlock", [POINT_WITHIN] = "within",
    [POINT_LEFT] = "behind",    [POINT_YIELD] = "yield", [POINT_AWAIT] = "await",   [POINT_PASS] = "hand over",
    [POINT_MEMORY] = "backing",
};

const char *scheduler_kind_name(point_kind kind)
{
    return kind_names[kind];
}

static _Noreturn void fail_for_deadlock(void)
{
    char text[600] = "";
    size_t used = 0;
    for (unsigned i = 0; i < s.count; i++) {
        const fiber *t = &s.threads[i];
        if (!t->ended && used < sizeof text)
            used += (size_t)snprintf(text + used, sizeof text - used, "; thread %u at %s %s in %s", i, kind_names[t->next.kind],
                                     t->next.what, t->next.where);
    }
    scheduler_fail("deadlock, or a lost wake-up: nobody can go on%s", text);
}

static void switch_to(unsigned next)
{
    fiber *t = running();
    if (_setjmp(t->stopped) == 0) {
        t->go_on = &t->stopped;
        s.running = next;
        _longjmp(*s.threads[next].go_on, 1);
    }
}

static unsigned choose(void)
{
    decision d = {.current = NOBODY, .shared = true, .state = s.state};
    for (unsigned i = 0; i < s.count; i++) {
        if (!s.threads[i].ended && may_go_on(&s.threads[i]))
            d.enabled |= 1U << i;
    }
    if (d.enabled == 0)
        fail_for_deadlock();
    if (s.running != MAIN_THREAD && (d.enabled >> s.running & 1) != 0) {
        d.current = (int)s.running;
        d.shared = is_shared(running()->next.at);
    }
    if (++s.steps > STEPS_MOST)
        scheduler_fail("a loop without end: more than %d steps", STEPS_MOST);
    const int next = s.choose(s.context, &d);
    if (next == CHOICE_STOP)
        _longjmp(s.end, 1 + STOPPED);
    if (next < 0 || (d.enabled >> next & 1) == 0)
        scheduler_fail("the chooser chose thread %d, which cannot go on", next);
    turn *last = s.turns_count == 0 ? NULL : &s.turns[s.turns_count - 1];
    if (last == NULL || last->thread != (unsigned)next)
        s.turns[s.turns_count++] = (turn){.thread = (unsigned)next, .steps = 1};
    else
        last->steps++;
    return (unsigned)next;
}

static void note_stop(void)
{
    if (s.turns_count == 0 || s.running == MAIN_THREAD)
        return;
    const fiber *t = running();
    turn *last = &s.turns[s.turns_count - 1];
    last->op = t->op;
    last->before = t->next.kind;
    last->what = t->ended ? NULL : t->next.what;
    last->where = t->next.where;
}

static void give_turn(void)
{
    note_stop();
    const unsigned next = choose();
    if (next != s.running)
        switch_to(next);
}

/* The operation follows at once. */
static place *arrive(const void *at, point_kind kind, unsigned least, const char *what, const char *where)
{
    if (s.running != MAIN_THREAD) {
        fiber *t = running();
        t->next.at = at;
        t->next.kind = kind;
        t->next.least = least;
        t->next.what = what;
        t->next.where = where;
        give_turn();
    }
    if (kind != POINT_LEFT) /* the lock may have gone by then */
        memory_touch(at, what, where);
    return place_of(at);
}

static void thread_main(void)
{
    const unsigned i = s.made;
    if (_setjmp(s.threads[i].made) == 0)
        _longjmp(s.maker, 1);
    const unsigned me = s.running; /* each run begins here: what was before is not to be relied on */
    s.body(me);
    s.threads[me].ended = true;
    note_stop();
    if (--s.left == 0)
        _longjmp(s.all_done, 1);
    const unsigned next = choose();
    s.running = next;
    _longjmp(*s.threads[next].go_on, 1);
}

/* A crash is a failed run as any other. */
static void crashed(int number)
{
    scheduler_fail("a crash: signal %d", number);
}

/* A loop without a point in it counts no steps: a run that lasts for a second of processor time, where others take 20 us, is one.
 */
static void still_there(int number)
{
    static uint32_t seen_run;
    if (seen_run == s.run && s.in_run)
        scheduler_fail("a loop without end within one step (signal %d)", number);
    seen_run = s.run;
}

static void catch_crashes(void)
{
    const struct itimerval second = {{1, 0}, {1, 0}};
    const struct sigaction watch = {.sa_handler = still_there, .sa_flags = SA_ONSTACK | SA_NODEFER};
    sigaction(SIGVTALRM, &watch, NULL);
    setitimer(ITIMER_VIRTUAL, &second, NULL);
    static unsigned char stack[STACK_BYTES];
    const stack_t other = {.ss_sp = stack, .ss_size = sizeof stack};
    struct sigaction action = {.sa_handler = crashed, .sa_flags = SA_ONSTACK | SA_NODEFER};
    sigaltstack(&other, NULL);
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
    sigaction(SIGILL, &action, NULL);
    sigaction(SIGFPE, &action, NULL);
}

static void make_threads(void)
{
    static ucontext_t context, back;
    if (s.made == 0)
        catch_crashes();
    while (s.made < THREADS_MOST) {
        getcontext(&context);
        context.uc_stack.ss_sp = s.threads[s.made].stack;
        context.uc_stack.ss_size = STACK_BYTES;
        context.uc_link = NULL;
        makecontext(&context, thread_main, 0);
        if (_setjmp(s.maker) == 0)
            swapcontext(&back, &context);
        s.made++;
    }
}

void scheduler_threads(unsigned count, void (*body)(unsigned), chooser *choose_, void *context)
{
    make_threads();
    s.count = s.left = count;
    s.body = body;
    s.choose = choose_;
    s.context = context;
    for (unsigned i = 0; i < count; i++) {
        fiber *t = &s.threads[i];
        t->go_on = &t->made;
        t->ended = false;
        t->next.at = t;
        t->next.kind = POINT_START;
        t->next.what = "";
        t->next.where = "";
        t->loaded = t;
        t->loaded_version = 0;
        t->op = t->locks = 0;
        t->hash = mixed(i + 1);
        memcpy(t->clock, s.threads[MAIN_THREAD].clock, sizeof t->clock);
        t->clock[i] = 1;
    }
    s.threads[MAIN_THREAD].clock[MAIN_THREAD]++;
    if (count != 0 && _setjmp(s.all_done) == 0) {
        const unsigned next = choose();
        s.running = next;
        _longjmp(*s.threads[next].go_on, 1);
    }
    s.running = MAIN_THREAD;
    for (unsigned i = 0; i < count; i++)
        join(s.threads[MAIN_THREAD].clock, s.threads[i].clock);
}

outcome scheduler_run(void (*all)(void *), void *context)
{
    fiber *main_thread = &s.threads[MAIN_THREAD];
    s.run++;
    s.running = s.as = MAIN_THREAD;
    s.state = 0;
    s.steps = s.turns_count = s.count = s.used_count = 0;
    s.failure[0] = '\0';
    memset(main_thread->clock, 0, sizeof main_thread->clock);
    main_thread->clock[MAIN_THREAD] = 1;
    main_thread->locks = 0;
    const int ended = _setjmp(s.end);
    if (ended == 0) {
        s.in_run = true;
        all(context);
    }
    s.in_run = false;
    return ended == 0 ? RAN : (outcome)(ended - 1);
}

void scheduler_as(unsigned who)
{
    s.as = who;
}

_Noreturn void scheduler_fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(s.failure, sizeof s.failure, format, arguments);
    va_end(arguments);
    if (s.running != MAIN_THREAD)
        note_stop();
    _longjmp(s.end, 1 + FAILED);
}

const char *scheduler_failure(void)
{
    return s.failure;
}

const turn *scheduler_turns(unsigned *count)
{
    *count = s.turns_count;
    return s.turns;
}

unsigned scheduler_steps(void)
{
    return s.steps;
}

unsigned scheduler_thread(void)
{
    return s.running;
}

void scheduler_note_op(unsigned op)
{
    running()->op = op;
}

bool scheduler_holds_lock(void)
{
    return running()->locks != 0;
}

/* ---- operations ---- */

uintptr_t scheduler_self(void)
{
    return (uintptr_t)&s.threads[s.running == MAIN_THREAD ? s.as : s.running];
}

void scheduler_point(const void *at, point_kind kind, int order, const char *what, const char *where)
{
    place *p = arrive(at, kind, 0, what, where);
    fiber *t = running();
    note(p, kind != POINT_LOAD);
    if (kind == POINT_LOAD) {
        t->loaded = at;
        t->loaded_version = p->version;
    }
    if (kind == POINT_CAS)
        return; /* scheduler_compared knows how it ended */
    if (kind != POINT_STORE && acquires(order))
        acquire(p);
    if (kind != POINT_LOAD && releases(order))
        release(p, kind == POINT_CHANGE);
    else if (kind == POINT_STORE && p->releaser != (int)s.running)
        memset(p->released, 0, sizeof p->released); /* a relaxed store ends another thread's release sequence */
}

bool scheduler_compared(const void *at, int order, bool equal)
{
    place *p = place_of(at);
    if (!equal || acquires(order))
        acquire(p);
    if (equal && releases(order))
        release(p, true);
    return equal;
}

void scheduler_lock_init(const void *at)
{
    place_of(at)->holder = NOBODY;
}

void scheduler_lock_destroy(const void *at)
{
    if (arrive(at, POINT_CHANGE, 0, "lock", __func__)->holder != NOBODY)
        scheduler_fail("a lock is destroyed that is taken");
}

void scheduler_lock(const void *at, const char *where)
{
    place *p = arrive(at, POINT_LOCK, 0, "", where);
    if (p->holder != NOBODY)
        scheduler_fail("deadlock: a lock is taken again by its holder, in %s", where);
    p->holder = (int)s.running;
    running()->locks++;
    note(p, true);
    acquire(p);
}

void scheduler_unlock(const void *at, const char *where)
{
    place *p = arrive(at, POINT_UNLOCK, 0, "", where);
    if (p->holder != (int)s.running)
        scheduler_fail("a lock is released by who does not hold it, in %s", where);
    p->holder = NOBODY;
    running()->locks--;
    note(p, true);
    release(p, false);
}

/* At once, so that nobody can come in between the getting of the lock and the mark. */
void scheduler_enter(const void *at, const char *where)
{
    place *p = place_of(at);
    if (p->holder != NOBODY)
        scheduler_fail("two threads are within one lock: thread %d, and now thread %u, in %s", p->holder, s.running, where);
    if (!seen(p->last))
        scheduler_fail("within the lock, what was done there before need not be seen: nothing orders it, in %s", where);
    p->holder = (int)s.running;
    running()->locks++;
    note(p, true);
    (void)arrive(at, POINT_WITHIN, 0, "", where);
    note_alone();
}

void scheduler_leave(const void *at)
{
    place *p = place_of(at);
    if (p->holder != (int)s.running)
        scheduler_fail("the lock is left by who is not within");
    p->holder = NOBODY;
    running()->locks--;
    note(p, true);
}

/* Behind the lock, so that what is still done there as if it were within meets others. */
void scheduler_left(const void *at, const char *where)
{
    (void)arrive(at, POINT_LEFT, 0, "", where);
    note_alone();
}

/* The library yields in loops that wait for one value to change, which they have just loaded. */
void scheduler_yield(const char *where)
{
    fiber *t = running();
    if (s.running == MAIN_THREAD)
        scheduler_fail("waits for a thread that does nothing any more, in %s", where);
    (void)arrive(t->loaded, POINT_YIELD, 0, "", where);
}

void scheduler_await(const unsigned *count, unsigned least, const char *what)
{
    place *p = arrive(count, POINT_AWAIT, least, what, "");
    note(p, false);
    acquire(p);
}

void scheduler_pass(unsigned *count, const char *what)
{
    place *p = arrive(count, POINT_PASS, 0, what, "");
    ++*count;
    note(p, true);
    release(p, true);
}

void scheduler_memory(const void *source, const char *what)
{
    note(arrive(source, POINT_MEMORY, 0, what, ""), true);
}
