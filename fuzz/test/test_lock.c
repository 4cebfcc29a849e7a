/* Uses locks wrongly within a call, as a library with a bug would: a check must name it, and nothing may hang.
 * Usage: test_lock [twice|free|kept|asks]
 */
#include "../execute/world.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static void failed(void)
{
    exit(1);
}

int main(int argc, char **argv)
{
    static const execute_options options = {.failed = failed};
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    const char *how = argc == 2 ? argv[1] : "";
    world *w = &the_world;
    w->options = &options;
    memory_reset(false);
    library_begin(w);
    pthread_mutex_lock(&lock);
    if (strcmp(how, "twice") == 0)
        pthread_mutex_lock(&lock);
    if (strcmp(how, "asks") == 0)
        memory_take(40, 64, 0);
    if (strcmp(how, "kept") != 0)
        pthread_mutex_unlock(&lock);
    if (strcmp(how, "free") == 0)
        pthread_mutex_unlock(&lock);
    library_end(w);
    pthread_mutex_lock(&lock); /* the C library's again, which must find it free */
    pthread_mutex_unlock(&lock);
    memory_end();
    return 0;
}
