/* Fibers, made once by makecontext and switched by setjmp and longjmp, which call no system. A run may leave them anywhere: the
 * next one starts them again where they were made. */
#include "scheduler.h"

#include "history.h"
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
    const void *loaded; /* last, and which of the values that were stored there: a yield waits until that is not the latest */
    uint32_t loaded_version;
    message *compared;
    unsigned op;
    unsigned locks;
    uint64_t hash; /* of all it has done, and of what that depends on */
    observer observer;
    _Alignas(16) unsigned char stack[STACK_BYTES];
} fiber;

/* What is known of one address. */
typedef struct place {
    const void *at;
    uint32_t run;  /* else all of this is of an earlier one */
    uint64_t read; /* hash: the sum of those of the loads since the last store */
    uint32_t versions;
    unsigned readers, writers;
    int holder; /* of a lock, or who is within */
    uint32_t last[CLOCKS];
    history history;
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
    fiber threads[CLOCKS];      /* the main thread last */
    unsigned stale, stale_left; /* values that need not be the latest: in a run, and yet */
    char fences;                /* a place: their order */
    place places[PLACES];
    message older[PLACES][OLDER_MOST];
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
            *p = (place){.at = at, .run = s.run, .holder = NOBODY, .history = {.now.releaser = NOBODY, .older = s.older[i]}};
            s.used[s.used_count++] = (unsigned)i;
            return p;
        }
    }
    scheduler_fail("the program is too large: a run has more than %d places", PLACES);
}

/* `m`: what was loaded, or is being stored and yet says behind what. Where values may be stale, a load and a store behind what it
 * returned lead to the same state in either order, so neither is told from the other; else a store is told by the loads before. */
static void note_value(place *p, message *m, bool writes)
{
    fiber *t = running();
    p->last[s.running] = t->observer.knows.clock[s.running];
    if (writes)
        m->version = ++p->versions;
    if (s.running == MAIN_THREAD) /* all before the threads is the same each time, and nothing behind them is chosen */
        return;
    const uint64_t before = writes && s.stale == 0 ? p->read : 0;
    const uint64_t hash = mixed(t->hash * 3 + mixed((uint64_t)(uintptr_t)p->at ^ m->written) + before);
    const unsigned bit = 1U << s.running;
    if (writes) {
        m->written = hash;
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

/* Of what is no atomic, or is always the latest. */
static void note(place *p, bool writes)
{
    note_value(p, &p->history.now, writes);
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

static bool seen(const uint32_t *last)
{
    const uint32_t *clock = running()->observer.knows.clock;
    for (unsigned i = 0; i < CLOCKS; i++) {
        if (i != s.running && last[i] > clock[i])
            return false;
    }
    return true;
}

const uint32_t *scheduler_clock(void)
{
    return running()->observer.knows.clock;
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
        return place_of(t->loaded)->history.now.version != t->loaded_version;
    default:
        return true;
    }
}

static const char *const kind_names[] = {
    [POINT_START] = "start",    [POINT_LOAD] = "load",   [POINT_STORE] = "store",   [POINT_CHANGE] = "change",
    [POINT_CAS] = "compare",    [POINT_LOCK] = "lock",   [POINT_UNLOCK] = "unlock", [POINT_WITHIN] = "within",
    [POINT_LEFT] = "behind",    [POINT_YIELD] = "yield", [POINT_AWAIT] = "await",   [POINT_PASS] = "hand over",
    [POINT_MEMORY] = "backing", [POINT_FENCE] = "fence",
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
    if (last == NULL || last->thread != (unsigned)next || last->stale != 0)
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
        observer_begin(&t->observer, i, &s.threads[MAIN_THREAD].observer);
    }
    observer_step(&s.threads[MAIN_THREAD].observer);
    if (count != 0 && _setjmp(s.all_done) == 0) {
        const unsigned next = choose();
        s.running = next;
        _longjmp(*s.threads[next].go_on, 1);
    }
    s.running = MAIN_THREAD;
    for (unsigned i = 0; i < count; i++)
        observer_join(&s.threads[MAIN_THREAD].observer, &s.threads[i].observer);
}

outcome scheduler_run(void (*all)(void *), void *context, unsigned stale)
{
    fiber *main_thread = &s.threads[MAIN_THREAD];
    s.run++;
    s.running = s.as = MAIN_THREAD;
    s.state = 0;
    s.steps = s.turns_count = s.count = s.used_count = 0;
    s.failure[0] = '\0';
    s.stale = s.stale_left = stale;
    history_begin_run(stale != 0);
    observer_begin(&main_thread->observer, MAIN_THREAD, NULL);
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

/* Of `count` values the thread may be shown, or places for its store: 0 is the latest. */
static unsigned choose_value(unsigned count)
{
    if (count == 1 || s.stale_left == 0 || s.running == MAIN_THREAD)
        return 0;
    const decision d = {.current = (int)s.running, .values = count, .stale_left = s.stale_left, .shared = true, .state = s.state};
    const int chosen = s.choose(s.context, &d);
    if (chosen == CHOICE_STOP)
        _longjmp(s.end, 1 + STOPPED);
    if (chosen < 0 || (unsigned)chosen >= count)
        scheduler_fail("the chooser chose value %d of %u", chosen, count);
    if (chosen != 0) {
        const fiber *t = running();
        turn *last = &s.turns[s.turns_count - 1];
        s.stale_left--;
        last->stale = (unsigned)chosen;
        last->stale_kind = t->next.kind;
        last->stale_what = t->next.what;
        last->stale_where = t->next.where;
    }
    return (unsigned)chosen;
}

const void *scheduler_load(const void *at, int order, const char *what, const char *where)
{
    place *p = arrive(at, POINT_LOAD, 0, what, where);
    fiber *t = running();
    const unsigned back = choose_value(history_choices(&p->history, &t->observer, order));
    message *m = history_at(&p->history, back);
    note_value(p, m, false);
    t->loaded = at;
    t->loaded_version = m->version;
    history_loaded(&t->observer, m, order);
    return back == 0 ? at : &m->value;
}

/* What is in memory, which something else is about to take the place of. */
static void keep_value(place *p, size_t size)
{
    if (s.stale != 0)
        memcpy(&p->history.now.value, p->at, size);
}

/* Fences come before or behind a store that is sequentially consistent: those that do not see it are told from those that do. */
static void note_order(int order)
{
    if (s.stale != 0 && order == __ATOMIC_SEQ_CST)
        note(place_of(&s.fences), false);
}

/* Whether a store may come right behind history_at(back). */
static bool has_room(place *p, unsigned back)
{
    return back == 0 || !history_at(&p->history, back - 1)->follows;
}

static unsigned choose_place(place *p, int order)
{
    unsigned backs[OLDER_MOST + 1], count = 0;
    const unsigned choices = history_choices(&p->history, &running()->observer, order);
    for (unsigned back = 0; back < choices; back++) {
        if (has_room(p, back))
            backs[count++] = back;
    }
    return backs[choose_value(count)];
}

static message *insert(place *p, unsigned back, int order)
{
    message *m = history_insert(&p->history, back);
    note_order(order);
    note_value(p, m, true);
    return m;
}

void *scheduler_store(void *at, size_t size, int order, const char *what, const char *where)
{
    place *p = arrive(at, POINT_STORE, 0, what, where);
    keep_value(p, size);
    const unsigned back = choose_place(p, order);
    message *m = insert(p, back, order);
    history_stored(&running()->observer, m, order);
    return back == 0 ? at : &m->value;
}

void *scheduler_change(void *at, size_t size, int order, const char *what, const char *where)
{
    place *p = arrive(at, POINT_CHANGE, 0, what, where);
    keep_value(p, size);
    const unsigned back = choose_place(p, order);
    message *m = insert(p, back, order);
    history_changed(&running()->observer, m, order);
    return back == 0 ? at : &m->value;
}

/* Of an older value: found, and so the comparison fails, where it is not what was expected; else what takes its place goes there.
 */
void *scheduler_compare(void *at, size_t size, void *expected, int order, const char *what, const char *where)
{
    unsigned backs[OLDER_MOST + 1], count = 1;
    place *p = arrive(at, POINT_CAS, 0, what, where);
    fiber *t = running();
    t->compared = &p->history.now;
    if (s.stale == 0) { /* counted as a store, whatever comes of it */
        note(p, true);
        return at;
    }
    keep_value(p, size);
    backs[0] = 0;
    const unsigned choices = history_choices(&p->history, &t->observer, order);
    const unsigned failing = history_choices(&p->history, &t->observer, __ATOMIC_ACQUIRE);
    for (unsigned back = 1; back < failing; back++) {
        if (memcmp(&history_at(&p->history, back)->value, expected, size) != 0 || (back < choices && has_room(p, back)))
            backs[count++] = back;
    }
    const unsigned back = backs[choose_value(count)];
    if (back == 0)
        return at;
    t->compared = history_at(&p->history, back);
    if (memcmp(&t->compared->value, expected, size) == 0)
        t->compared = insert(p, back, order);
    return &t->compared->value;
}

bool scheduler_compared(const void *at, int order, bool equal)
{
    place *p = place_of(at);
    fiber *t = running();
    if (s.stale != 0 && !equal)
        note_value(p, t->compared, false);
    else if (s.stale != 0 && t->compared == &p->history.now)
        (void)insert(p, 0, order);
    if (equal)
        history_changed(&t->observer, t->compared, order);
    else
        history_loaded(&t->observer, t->compared, __ATOMIC_ACQUIRE);
    return equal;
}

/* ---- fences ---- */

void scheduler_fence_light(void)
{
    observer_fence_light(&running()->observer);
}

void scheduler_fence(int order, const char *where)
{
    if (s.stale == 0)
        return;
    if (order == __ATOMIC_SEQ_CST)
        note(arrive(&s.fences, POINT_FENCE, 0, "", where), true);
    observer_fence(&running()->observer, order);
}

/* Each of the other threads is interrupted in its turn, and executes a full fence then. */
void scheduler_fence_heavy(const char *where)
{
    scheduler_fence(__ATOMIC_SEQ_CST, where);
    for (unsigned i = 0; s.stale != 0 && s.running != MAIN_THREAD && i < s.count; i++) {
        fiber *other = &s.threads[i];
        if (i == s.running)
            continue;
        place *p = arrive(&s.fences, POINT_FENCE, 0, "of another thread", where);
        p->writers |= 1U << i;
        note(p, true);
        if (other->ended)
            observer_fence_light(&other->observer); /* nothing of it is held back */
        observer_fence_from_without(&other->observer);
        other->hash = mixed(other->hash + p->history.now.written);
        s.state += other->hash;
    }
    scheduler_fence(__ATOMIC_SEQ_CST, where);
}

/* ---- locks, and what stands for the caller's ---- */

/* Calls that the compiler moves nothing across. */
static void acquire(place *p)
{
    observer *o = &running()->observer;
    history_loaded(o, &p->history.now, __ATOMIC_ACQUIRE);
    observer_fence_light(o);
}

static void release(place *p, bool changes)
{
    observer *o = &running()->observer;
    observer_fence_light(o);
    if (changes)
        history_changed(o, &p->history.now, __ATOMIC_RELEASE);
    else
        history_stored(o, &p->history.now, __ATOMIC_RELEASE);
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
